"""GPTQ with PyTorch on the layer that `bench/gptq_gpu.ts --data DIR` left: `python3 bench/gptq_torch.py DIR`.

The algorithm of arXiv 2210.17323 as its tensor operations: damping, Cholesky factor of the inverse Hessian, blocks of
128 columns with lazy updates. Everything lies on the GPU before and after, and the median of seven runs is printed.
"""
import sys
import time

import numpy
import torch

BLOCK = 128
ROUNDS = 7


def load(folder, name):
    return torch.from_numpy(numpy.fromfile(f"{folder}/{name}.f32", dtype=numpy.float32)).cuda()


def gptq(weight, hessian, scale):
    columns = weight.shape[1]
    damped = hessian.clone()
    index = torch.arange(columns, device=weight.device)
    damped[index, index] += 0.01 * torch.mean(torch.diag(hessian))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    factor = torch.linalg.cholesky(inverse, upper=True)
    weight = weight.clone()
    result = torch.zeros_like(weight)
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        block = weight[:, start:stop].clone()
        errors = torch.zeros_like(block)
        part = factor[start:stop, start:stop]
        for k in range(stop - start):
            column = block[:, k]
            rounded = torch.clamp(torch.round(column / scale), -8, 7) * scale
            result[:, start + k] = rounded
            error = (column - rounded) / part[k, k]
            block[:, k:] -= error.unsqueeze(1).matmul(part[k, k:].unsqueeze(0))
            errors[:, k] = error
        weight[:, stop:] -= errors.matmul(factor[start:stop, stop:])
    return result


def main(folder):
    scale = load(folder, "scales")
    size = scale.numel()
    weight = load(folder, "weight").reshape(size, size)
    hessian = load(folder, "hessian").reshape(size, size)
    ours = load(folder, "result").reshape(size, size)
    gptq(weight, hessian, scale)
    seconds = []
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        result = gptq(weight, hessian, scale)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    seconds.sort()
    equal = (torch.abs(result - ours) < 1e-6).float().mean().item()

    def error(candidate):
        difference = (weight - candidate).double()
        return torch.einsum("ij,jk,ik->", difference, hessian.double(), difference).item()

    nearest = torch.clamp(torch.round(weight / scale[:, None]), -8, 7) * scale[:, None]
    print(
        f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}: GPTQ {size} x {size} "
        f"{seconds[ROUNDS // 2] * 1e3:.1f} ms ({seconds[0] * 1e3:.1f} to {seconds[-1] * 1e3:.1f}); "
        f"{100 * equal:.2f}% of the weights equal; output error PyTorch {error(result):.6g}, ours {error(ours):.6g}, "
        f"rounding {error(nearest):.6g}"
    )


if __name__ == "__main__":
    main(sys.argv[1])
