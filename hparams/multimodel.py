"""The MultiModel's sets of hyperparameters."""

from t2t_multimodel.config import HParams, hparams_sets


@hparams_sets.registered("multimodel_paper_joint")
def paper_joint() -> HParams:
    """The paper's joint model: hidden_size 1024, 240 experts, 4 per token, dropout 0.4 (arXiv 1706.05137, section 2).

    Source: the paper. It states no learning rate, schedule and batch; those here are this project's. Expected results: the
    paper's Tables 1 and 2. This project has not trained the set.
    """
    return HParams()


@hparams_sets.registered("multimodel_paper_single")
def paper_single() -> HParams:
    """The paper's model for a single problem: 60 experts (section 2.3)."""
    return paper_joint().override(num_experts=60)


@hparams_sets.registered("multimodel1p8")
def multimodel1p8() -> HParams:
    """The set of this name in the authors' first released code (tensor2tensor, June 2017): hidden_size 1536, 120 experts.

    Departure: the learning rate, 0.05 in tensor2tensor, is divided by sqrt(hidden_size) for plain Adam. train_steps is the
    default of tensor2tensor's command, since the decay depends on it. This project has not trained the set.
    """
    return paper_joint().override(
        "hidden_size=1536,num_experts=120,moe_k=2,moe_hidden_size=2048,dropout=0.1,attention_dropout=0.1,"
        "label_smoothing=0.1,clip_norm=2.0,beta1=0.85,beta2=0.997,epsilon=1e-6,"
        "learning_rate=0.00128,warmup_steps=3000,learning_rate_schedule=exp500k,train_steps=250000"
    )


@hparams_sets.registered("multimodel_base")
def base() -> HParams:
    """A model for one accelerator: hidden_size 512, 60 experts, dropout 0.2."""
    return paper_joint().override("hidden_size=512,moe_hidden_size=512,num_experts=60,dropout=0.2,attention_dropout=0.1")


@hparams_sets.registered("multimodel_small")
def small() -> HParams:
    """A model for one accelerator or a night on a CPU: hidden_size 256, 16 experts."""
    return tiny().override("hidden_size=256,moe_hidden_size=256,num_experts=16,categorical_sizes=384:512,learning_rate=0.001")


@hparams_sets.registered("multimodel_tiny")
def tiny() -> HParams:
    """A model for the small, real data of examples/open_small on two CPU cores: hidden_size 128, 8 experts.

    docs/results.md has its results and training time.
    """
    return paper_joint().override(
        "hidden_size=128,moe_hidden_size=128,num_experts=8,dropout=0.1,dropout_on=branch,attention_dropout=0.1,"
        "output_norm=true,tie_embeddings=true,categorical_sizes=192:256,"
        "audio_blocks=3,audio_min_channels=16,audio_frequency=fold,mel_bins=40,"
        "batch_tokens=4096,batch_images=32,batch_seconds=40,max_length=128,max_seconds=10,"
        "learning_rate=0.002,learning_rate_schedule=cosine,warmup_steps=400,beta2=0.98,clip_norm=1.0"
    )


@hparams_sets.registered("multimodel_4min")
def four_minutes() -> HParams:
    """multimodel_tiny for about four CPU minutes on one pair of languages: half its blocks, and small batches for more steps.

    Use: --train_minutes=4. benchmarks/quality.py compares sets after equal CPU minutes.
    """
    return tiny().override("encoder_blocks=3,mixer_blocks=1,decoder_blocks=2,batch_tokens=1280,warmup_steps=100")


@hparams_sets.registered("multimodel_mini")
def mini() -> HParams:
    """A model that learns mini8 in minutes on two CPU cores, as in `make demo`: hidden_size 64, 4 experts.

    The small things of mini8's pictures are ten pixels wide: the first step of the image net keeps every pixel. Captions of new
    combinations need target_noise, without which the decoder guesses them from the words before.
    """
    return tiny().override(
        "hidden_size=64,encoder_blocks=2,mixer_blocks=1,decoder_blocks=2,moe_hidden_size=64,num_experts=4,moe_k=2,"
        "dropout=0.0,attention_dropout=0.0,label_smoothing=0.0,target_noise=0.2,"
        "image_stem_stride=1,image_channels=16:32:64:64,categorical_sizes=96:128,"
        "vocab_size=700,batch_tokens=1536,batch_images=16,batch_seconds=40,max_length=64,max_seconds=3,"
        "learning_rate=0.003,warmup_steps=200,train_steps=4800,eval_every=600,"
        "problem_weights=mini_class:2 mini_caption:6 mini_speech:2"
    )
