"""What is learned from unlabeled text: objectives, masking, adapters."""
