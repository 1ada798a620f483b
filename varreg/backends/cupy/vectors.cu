// Inner products and sums of arrays in double precision, in fixed order; `first`, `second`, `arrays` hold addresses.

// Inner products of pairs of arrays of n entries: partial sums of `blocks` blocks for each pair.
extern "C" __global__ void __launch_bounds__(128)
inner_products(const unsigned long long* __restrict__ first, const unsigned long long* __restrict__ second, long long n,
               int blocks, double* sums)
{
    const int pair = blockIdx.x / blocks;
    const double *a = (const double*)first[pair], *b = (const double*)second[pair];
    double total = 0;
    for (long long v = (long long)(blockIdx.x % blocks) * blockDim.x + threadIdx.x; v < n; v += (long long)blocks * blockDim.x)
        total += a[v] * b[v];
    block_total(total, sums);
}

// out = linear combination of `count` arrays of n entries.
extern "C" __global__ void __launch_bounds__(256)
combination(const unsigned long long* __restrict__ arrays, const double* __restrict__ coefficients, int count, long long n,
            double* __restrict__ out)
{
    const long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= n) return;
    double total = 0;
    for (int i = 0; i < count; i++) total += coefficients[i] * ((const double*)arrays[i])[v];
    out[v] = total;
}

// Largest squared length of the vectors of a field (d, n) in each block; above 1e300 if a vector is not finite.
extern "C" __global__ void __launch_bounds__(128)
largest_square(const double* __restrict__ field, int d, long long n, int blocks, double* squares)
{
    __shared__ double part[128];
    double largest = 0;
    for (long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x; v < n; v += (long long)blocks * blockDim.x) {
        double square = 0;
        for (int c = 0; c < d; c++) square += field[c * n + v] * field[c * n + v];
        if (!(square <= 1e300)) square = 1.5e300;
        if (square > largest) largest = square;
    }
    part[threadIdx.x] = largest;
    __syncthreads();
    for (int step = 64; step > 0; step /= 2) {
        if (threadIdx.x < step && part[threadIdx.x + step] > part[threadIdx.x]) part[threadIdx.x] = part[threadIdx.x + step];
        __syncthreads();
    }
    if (threadIdx.x == 0) squares[blockIdx.x] = part[0];
}
