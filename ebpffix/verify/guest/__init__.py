"""Other kernels than the one that runs: images, and a small machine under qemu that loads programs in one of them."""
