"""Evaluation: any metric protocols of any sub-generators or pictures, streamed, resumable, by many processes."""
