from __future__ import annotations
import numpy as np
from kvolume.bound import price_kernels as k
from kvolume.geometry import volume

def exact_sum(x):
    return (int((x >> 32).sum()) << 32) + int((x & 0xFFFFFFFF).sum())

def machine(arrival, s, o, m):
    v = volume(s, o)
    end = int(arrival[-1] + 2)
    # end of the relaxed machine: at most last arrival + all the work
    end = int(arrival.max() + v.sum() // m + 3)
    price = np.zeros(end)
    k.machine_prices(arrival, v, np.argsort(v, kind="stable"), m, price)
    return price

def sums(price, pad):
    t = np.arange(price.size)
    z = np.zeros(price.size + pad + 1, np.float64)
    paid, moment = z, z.copy()
    np.cumsum(price, out=paid[1:price.size+1]); paid[price.size+1:] = paid[price.size]
    np.cumsum(price*t, out=moment[1:price.size+1]); moment[price.size+1:] = moment[price.size]
    return paid, moment

def certify(arrival, s, o, m, price, start):
    pad = int(o.max()) + 2*k.BLOCK
    v = volume(s, o)
    size = float(price.size + o.max() + price.max()*v.max()) + float(price.max()) + 1
    one = 1 << min(40, int(np.floor(61 - np.log2(size))))
    whole = np.zeros((price.size + pad)//k.BLOCK*k.BLOCK + k.BLOCK, np.int64)
    whole[:price.size] = np.floor(price*one).astype(np.int64)
    paid = np.zeros(whole.size+1, np.int64); paid[1:] = np.cumsum(whole)
    moment = np.zeros(whole.size+1, np.int64); moment[1:] = np.cumsum(whole*np.arange(whole.size))
    blocks = whole.reshape(-1, k.BLOCK)
    low, high = blocks.min(1), blocks.max(1)
    least = np.empty(arrival.size, np.int64)
    k.least_costs(arrival, s, o, whole, paid, moment, low, high, one, price.size, np.minimum(start, price.size).clip(arrival), least)
    total = exact_sum(least) - m*exact_sum(whole)
    return -(-total//one)
