"""Constants that several packages share."""

PAD_ID = 0  # fills the sequences of a batch up to one length
EOS_ID = 1  # ends a sequence
NO_LABEL = -1  # the class of a row that only fills a batch
# Used in place of minus infinity, of which a product or a difference could be NaN.
LOWEST = -1e9
LOWEST_HALF = -3e4  # the same for float16, whose largest number is 65,504
