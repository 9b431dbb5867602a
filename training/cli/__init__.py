"""The commands of the training job, one file per noun."""
