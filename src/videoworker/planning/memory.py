"""Device memory, in bytes."""

GIB = 1 << 30

# The CUDA context, kernels' workspaces, and what the allocator cannot use between blocks: 1 to 3 GiB.
RESERVE = 2 * GIB
