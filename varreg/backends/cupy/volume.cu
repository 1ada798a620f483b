// Volume term and its gradient; see varreg/energy/volume.py.  A corner of a cell is a node with the edges of the cell
// that meet there: det(id + grad u) at the corner is the determinant of these edges.

// (J^2 + J^-2 - 2) / 8, below `least` its second-order Taylor polynomial.
__device__ __forceinline__ double determinant_cost(double determinant, double least)
{
    const double held = max(determinant, least), beyond = determinant - held, inverse = 1 / held, apart = held - inverse;
    const double square = inverse * inverse, slope = 0.25 * (held - square * inverse);
    return 0.125 * apart * apart + beyond * (slope + 0.125 * beyond * (1 + 3 * square * square));
}

// Derivative of this function.
__device__ __forceinline__ double determinant_slope(double determinant, double least)
{
    const double held = max(determinant, least), inverse = 1 / held, square = inverse * inverse;
    return 0.25 * (held - square * inverse + (determinant - held) * (1 + 3 * square * square));
}

// Derivatives of the determinant with respect to each edge.
__device__ __forceinline__ void cofactors(const double (&edge)[2][2], double (&by)[2][2])
{
    by[0][0] = edge[1][1];
    by[0][1] = -edge[1][0];
    by[1][0] = -edge[0][1];
    by[1][1] = edge[0][0];
}

__device__ __forceinline__ void cofactors(const double (&edge)[3][3], double (&by)[3][3])
{
    for (int axis = 0; axis < 3; axis++) {
        const double *e = edge[(axis + 1) % 3], *f = edge[(axis + 2) % 3];
        by[axis][0] = e[1] * f[2] - e[2] * f[1];
        by[axis][1] = e[2] * f[0] - e[0] * f[2];
        by[axis][2] = e[0] * f[1] - e[1] * f[0];
    }
}

// Determinant of the edges [axis][component] from a node to the nodes at distance `step`, and its derivatives with
// respect to them; `rate`: 1 / spacing, with the sign of the step.
template <int D>
__device__ __forceinline__ double corner(const double* __restrict__ field, long long component, long long node,
                                         const long long (&step)[D], const double (&rate)[D], double (&by)[D][D])
{
    double edge[D][D], determinant = 0;
    for (int axis = 0; axis < D; axis++)
        for (int d = 0; d < D; d++) {
            const double* u = field + d * component + node;
            edge[axis][d] = rate[axis] * (u[step[axis]] - u[0]) + (d == axis);
        }
    cofactors(edge, by);
    for (int d = 0; d < D; d++) determinant += edge[0][d] * by[0][d];
    return determinant;
}

// Sum of the volume term over the corners of the cell that starts at a node.
template <int D>
__device__ __forceinline__ double cell_cost(const double* __restrict__ field, long long component, long long node,
                                            const long long (&stride)[D], const double (&inverse)[D], double least)
{
    double total = 0, by[D][D], rate[D];
    long long step[D];
#pragma unroll 1
    for (int number = 0; number < 1 << D; number++) {
        long long at = node;
        for (int axis = 0; axis < D; axis++) {
            const bool last = number >> axis & 1;
            at += last ? stride[axis] : 0;
            step[axis] = last ? -stride[axis] : stride[axis];
            rate[axis] = last ? -inverse[axis] : inverse[axis];
        }
        total += determinant_cost(corner<D>(field, component, at, step, rate, by), least);
    }
    return total;
}

// Derivative of the sum over all cells with respect to one node.  In each cell around the node, the corner at the node
// depends on it, and along each axis the corner at its neighbour, through the edge between them.  Sums are in fixed
// order.
template <int D>
__device__ __forceinline__ void node_slope(const double* __restrict__ field, long long component, long long node,
                                           const int (&place)[D], const int (&count)[D], const long long (&stride)[D],
                                           const double (&inverse)[D], double least, double (&sum)[D])
{
    double by[D][D], rate[D], turned_rate[D];
    long long step[D], turned[D];
    for (int d = 0; d < D; d++) sum[d] = 0;
#pragma unroll 1
    for (int number = 0; number < 1 << D; number++) {
        bool inside = true;
        for (int axis = 0; axis < D; axis++) {
            const bool up = number >> axis & 1;
            inside = inside && (up ? place[axis] + 1 < count[axis] : place[axis] > 0);
            step[axis] = up ? stride[axis] : -stride[axis];
            rate[axis] = up ? inverse[axis] : -inverse[axis];
        }
        if (!inside) continue;
#pragma unroll
        for (int neighbour = 0; neighbour <= D; neighbour++) {  // the last: the node itself
            long long at = node;
            for (int axis = 0; axis < D; axis++) {
                const bool back = axis == neighbour;
                at += back ? step[axis] : 0;
                turned[axis] = back ? -step[axis] : step[axis];
                turned_rate[axis] = back ? -rate[axis] : rate[axis];
            }
            const double slope = determinant_slope(corner<D>(field, component, at, turned, turned_rate, by), least);
            for (int axis = 0; axis < D; axis++)
                for (int d = 0; d < D; d++)
                    if (neighbour == D || axis == neighbour) sum[d] -= rate[axis] * slope * by[axis][d];
        }
    }
}

// Sum over the threads of a block of 128, in fixed order, written by thread 0 to sums[block].
__device__ __forceinline__ void block_total(double own, double* sums)
{
    __shared__ double part[128];
    part[threadIdx.x] = own;
    __syncthreads();
    for (int step = 64; step > 0; step /= 2) {
        if (threadIdx.x < step) part[threadIdx.x] += part[threadIdx.x + step];
        __syncthreads();
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = part[0];
}

// Sums over the cells of a field (2, b, c), one per block, for any number of blocks.
extern "C" __global__ void __launch_bounds__(128, 4)
area_sum(const double* __restrict__ field, int b, int c, double step0, double step1, double least, int blocks, double* sums)
{
    const long long count = (long long)(b - 1) * (c - 1), stride[2] = {c, 1};
    const double inverse[2] = {1 / step0, 1 / step1};
    double total = 0;
    for (long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x; v < count; v += (long long)blocks * blockDim.x)
        total += cell_cost<2>(field, (long long)b * c, v / (c - 1) * c + v % (c - 1), stride, inverse, least);
    block_total(total, sums);
}

// The same of a field (3, a, b, c).
extern "C" __global__ void __launch_bounds__(128, 4)
volume_sum(const double* __restrict__ field, int a, int b, int c, double step0, double step1, double step2,
           double least, int blocks, double* sums)
{
    const long long count = (long long)(a - 1) * (b - 1) * (c - 1), stride[3] = {(long long)b * c, c, 1};
    const double inverse[3] = {1 / step0, 1 / step1, 1 / step2};
    double total = 0;
    for (long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x; v < count; v += (long long)blocks * blockDim.x) {
        const long long line = v / (c - 1), node = (line / (b - 1) * b + line % (b - 1)) * c + v % (c - 1);
        total += cell_cost<3>(field, a * stride[0], node, stride, inverse, least);
    }
    block_total(total, sums);
}

// `scale` times the derivative of the sum over all cells with respect to each node of a field (2, b, c).
extern "C" __global__ void __launch_bounds__(256)
area_gradient(const double* __restrict__ field, int b, int c, double step0, double step1, double least, double scale,
              double* __restrict__ gradient)
{
    const long long nodes = (long long)b * c, stride[2] = {c, 1}, v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= nodes) return;
    const int count[2] = {b, c}, place[2] = {(int)(v / c), (int)(v % c)};
    const double inverse[2] = {1 / step0, 1 / step1};
    double sum[2];
    node_slope<2>(field, nodes, v, place, count, stride, inverse, least, sum);
    for (int d = 0; d < 2; d++) gradient[d * nodes + v] = scale * sum[d];
}

// The same of a field (3, a, b, c).
extern "C" __global__ void __launch_bounds__(256)
volume_gradient(const double* __restrict__ field, int a, int b, int c, double step0, double step1, double step2,
                double least, double scale, double* __restrict__ gradient)
{
    const long long stride[3] = {(long long)b * c, c, 1}, nodes = a * stride[0];
    const long long v = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= nodes) return;
    const int count[3] = {a, b, c}, place[3] = {(int)(v / stride[0]), (int)(v / c % b), (int)(v % c)};
    const double inverse[3] = {1 / step0, 1 / step1, 1 / step2};
    double sum[3];
    node_slope<3>(field, nodes, v, place, count, stride, inverse, least, sum);
    for (int d = 0; d < 3; d++) gradient[d * nodes + v] = scale * sum[d];
}
