"""Pretrained Hugging Face models as backbones."""
