"""The CUDA target at run time: launch records, modules, graphs and models on a device."""
