"""From a trained model and raw inputs to text, labels and trees."""
