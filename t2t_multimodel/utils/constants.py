"""Numbers that several rooms have to agree on."""

PAD_ID = 0  # fills sequences of a batch up to one length
EOS_ID = 1  # ends a sequence
# Stands for minus infinity where an infinite value would make NaN of a product or a difference.
LOWEST = -1e9
LOWEST_HALF = -3e4  # float16 ends at 65,504
