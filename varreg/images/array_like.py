"""Array behaviour of images: conversion, indexing, arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np


class ArrayLike:
    """Conversion, indexing and arithmetic of a class with ``values``; results are arrays.

    Comparison remains that of objects: an image is equal to itself.
    """

    values: np.ndarray

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy:
            return np.array(self.values, dtype=dtype)
        return np.asarray(self.values, dtype=dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(*S)"""
        return self.values.shape

    @property
    def ndim(self) -> int:
        """2 or 3"""
        return self.values.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32"""
        return self.values.dtype

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]

    def __neg__(self) -> np.ndarray:
        return -self.values

    def __abs__(self) -> np.ndarray:
        return abs(self.values)

    def __add__(self, other: Any) -> Any:
        return self.values + _operand(other)

    def __radd__(self, other: Any) -> Any:
        return _operand(other) + self.values

    def __sub__(self, other: Any) -> Any:
        return self.values - _operand(other)

    def __rsub__(self, other: Any) -> Any:
        return _operand(other) - self.values

    def __mul__(self, other: Any) -> Any:
        return self.values * _operand(other)

    def __rmul__(self, other: Any) -> Any:
        return _operand(other) * self.values

    def __truediv__(self, other: Any) -> Any:
        return self.values / _operand(other)

    def __rtruediv__(self, other: Any) -> Any:
        return _operand(other) / self.values

    def __pow__(self, other: Any) -> Any:
        return self.values ** _operand(other)


def _operand(other: Any) -> Any:
    """The array of an image; Python numbers are kept, so that float32 is not promoted to float64."""
    return other.values if isinstance(other, ArrayLike) else other
