// Sums along one axis of an array (outer, length, inner).

// Transposed interpolation along one axis: out[o, q, i] = sum over voxels k of the weight of node q at k times
// values[o, k, i].  first, stop: range of voxels that depend on each node.  Sums are in fixed order.
extern "C" __global__ void __launch_bounds__(256)
gather_axis(const real* __restrict__ values, long long outer, int length, int inner, const unsigned* __restrict__ index,
            const real* __restrict__ weight, int begin, int total, const int* __restrict__ first,
            const int* __restrict__ stop, int nodes, real* __restrict__ out)
{
    const long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= outer * nodes * inner) return;
    const int i = (int)(v % inner);
    const long long rest = v / inner;
    const int q = (int)(rest % nodes);
    const real* source = values + (rest / nodes) * length * inner + i;
    double sum = 0;
    for (int k = first[q]; k < stop[q]; k++) {
        double share = 0;
        if (index[begin + k] == q) share += weight[begin + k];
        if (index[total + begin + k] == q) share += weight[total + begin + k];
        sum += share * source[(long long)k * inner];
    }
    out[v] = (real)sum;
}

// Weighted means of neighbours along one axis: out[o, j, i] = sum_t weights[j, t] values[o, start[j] + t, i].
extern "C" __global__ void __launch_bounds__(256)
average_axis(const real* __restrict__ values, long long outer, int length, int inner, const long long* __restrict__ start,
             const real* __restrict__ weights, int width, int count, real* __restrict__ out)
{
    const long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= outer * count * inner) return;
    const int i = (int)(v % inner);
    const long long rest = v / inner;
    const int j = (int)(rest % count);
    const real* source = values + ((rest / count) * length + start[j]) * inner + i;
    real sum = source[0] * weights[j * width];
    for (int t = 1; t < width; t++) sum += source[(long long)t * inner] * weights[j * width + t];
    out[v] = sum;
}
