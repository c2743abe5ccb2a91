"""The body and the MultiModel."""
