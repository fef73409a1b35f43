"""The estimator of digit_reader: a small convolutional network."""

from typing import Any

import torch
from torch import nn

from mlcicd_assets.ml.training.torch_models import neural_classifier


class DigitNetwork(nn.Module):
    """8 × 8 grey values in, one logit for each digit out."""

    def __init__(self, outputs: int, channels: int = 16, dropout: float = 0.3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels * 4 * 4, outputs),
        )

    def forward(self, images: torch.Tensor) -> Any:
        """Logits, [n, digits]."""
        return self.layers(images)


def estimator() -> Any:
    """Unfitted; stops when the newest images are not read better any more."""
    return neural_classifier(DigitNetwork, epochs=60, batch_size=64, learning_rate=2e-3, patience=6)
