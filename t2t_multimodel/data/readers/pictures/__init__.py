"""Pictures: files of any common format as the JPEG or PNG of a record, and the pixels that a person sees."""
