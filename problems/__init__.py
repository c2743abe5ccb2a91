"""Families of problems; importing this package registers all of them.

Import it as `t2t_multimodel.problems`. Under its bare name it would be a second copy that registers everything again. The package
has the registry's methods: `t2t_multimodel.problems.register("my_problem", Problem(...))`.
"""

if __name__ != "t2t_multimodel.problems":
    raise ImportError(f"{__name__!r} is no package of its own: import it as t2t_multimodel.problems")

from t2t_multimodel.problem import groups
from t2t_multimodel.problem import problems as _registry

from . import mini as mini
from .craft import CRAFT_PARSING
from .eurosat import EUROSAT
from .imagenet import IMAGE_IMAGENET
from .librispeech import LIBRISPEECH
from .mscoco import COCO_64, IMAGE_MSCOCO
from .multi30k import M30K
from .wmt import WMT
from .wsj_parsing import WSJ_PARSING
from .wsj_speech import AUDIO_WSJ

# The paper's eight problems in its order (section 1), under their names in tensor2tensor.
_PAPER = (AUDIO_WSJ, IMAGE_IMAGENET, IMAGE_MSCOCO, WSJ_PARSING, *WMT)
# The same eight tasks on data that anyone may download.
_OPEN = (LIBRISPEECH, EUROSAT, COCO_64, CRAFT_PARSING, *M30K)

groups.register("multimodel8", tuple(problem.name for problem in _PAPER))
groups.register("open8", tuple(problem.name for problem in _OPEN))

register = _registry.register
registered = _registry.registered
get = _registry.get
names = _registry.names
temporary = _registry.temporary
