"""Ragged tensors on the device: clips, streams, samplers, batches."""
