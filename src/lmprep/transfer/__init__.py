"""What pre-training carries over to another task, language or modality."""
