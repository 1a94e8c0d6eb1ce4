"""Networks that are run without numbers, and the bytes that they would take.

A count knows nothing of the workspaces of a GPU's kernels, nor of what its allocator cannot use. Attention counts as a
fused kernel's, without a table of pairs.
"""

import weakref
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten


class Shapes(FakeTensorMode):
    """Tensors without numbers. If a program asks for one, the answer is yes, and every mask chooses all, but what
    was made by inverting one nothing."""

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        if packet in (_aten._local_scalar_dense, _aten.item, _aten.is_nonzero):
            return True
        if packet is _aten.index and args[1][0] is not None and args[1][0].dtype is torch.bool:
            return args[0][:0] if getattr(args[1][0], "chooses_none", False) else args[0].clone()
        made: Any = super().dispatch(func, types, args, kwargs or {})
        if packet is _aten.bitwise_not:
            made.chooses_none = True
        return made


class Count(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, while they are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        self.peak = max(self.peak, self.now)
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._alive:
            self._alive[key] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.now -= self._alive.pop(key)


# Operations that make no kernel: they ask something, or look at what is there in another shape.
_VIEWS = frozenset(
    "_reshape_alias _unsafe_view alias as_strided chunk detach device dim expand expand_as flatten is_floating_point "
    "movedim narrow new_empty empty empty_like empty_strided permute reshape select size slice split split_with_sizes "
    "squeeze t transpose unbind unflatten unfold unsqueeze view".split()
)


class Work(TorchDispatchMode):
    """Counts kernels, and the bytes of the tensors that they read and write. An operation counts as one kernel."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels = self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in _VIEWS:
            seen = {id(one): one for one in tree_leaves((args, kwargs, made)) if isinstance(one, torch.Tensor)}
            self.kernels += 1
            self.moved += sum(tensor.nbytes for tensor in seen.values())
        return made
