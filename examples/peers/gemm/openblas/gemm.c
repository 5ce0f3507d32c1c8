/* The other side of examples/peers/gemm: OpenBLAS, and how fast this processor multiplies and adds at all.
 *
 * Reads lines "m n k layout seconds", layout NN, NT or TN, or "peak 512 0 - seconds" / "peak 256 0 - seconds", and answers
 * each with the best GFLOP/s of many short runs within that time. One thread (OPENBLAS_NUM_THREADS=1). The library is
 * opened by name, the first argument, so that no header is needed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                   float beta, float *c, int ldc);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Twelve chains of multiply-adds hide the latency of any processor so far. */
#define CHAINS(type, fma)                                                                        \
  type x[12];                                                                                    \
  for (int j = 0; j < 12; j++) x[j] = one;                                                       \
  for (long i = 0; i < n; i++) {                                                                 \
    x[0] = fma(x[0], f, one); x[1] = fma(x[1], f, one); x[2] = fma(x[2], f, one);                \
    x[3] = fma(x[3], f, one); x[4] = fma(x[4], f, one); x[5] = fma(x[5], f, one);                \
    x[6] = fma(x[6], f, one); x[7] = fma(x[7], f, one); x[8] = fma(x[8], f, one);                \
    x[9] = fma(x[9], f, one); x[10] = fma(x[10], f, one); x[11] = fma(x[11], f, one);            \
  }                                                                                              \
  float sum = 0, *all = (float *)x;                                                              \
  for (unsigned j = 0; j < sizeof x / sizeof(float); j++) sum += all[j];                         \
  return sum

__attribute__((target("avx512f"))) static float chains512(long n) {
  const __m512 one = _mm512_set1_ps(1.0f), f = _mm512_set1_ps(0.5f);
  CHAINS(__m512, _mm512_fmadd_ps);
}

__attribute__((target("avx2,fma"))) static float chains256(long n) {
  const __m256 one = _mm256_set1_ps(1.0f), f = _mm256_set1_ps(0.5f);
  CHAINS(__m256, _mm256_fmadd_ps);
}

static double peak(int bits, double seconds) {
  const long n = 20000;
  volatile float sink;
  double best = 1e9, end = now() + seconds;
  if (bits == 512 ? !__builtin_cpu_supports("avx512f") : !__builtin_cpu_supports("fma")) return 0;
  while (now() < end) {
    double t = now();
    sink = bits == 512 ? chains512(n) : chains256(n);
    t = now() - t;
    if (t < best) best = t;
  }
  (void)sink;
  return 2.0 * 12 * (bits / 32) * n / best / 1e9;
}

static float *random_floats(size_t n) {
  float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);
  if (!x) exit(1);
  for (size_t i = 0; i < n; i++) x[i] = rand() / (float)RAND_MAX - 0.5f;
  return x;
}

static double measure(sgemm *f, int m, int n, int k, const char *layout, double seconds) {
  int ta = layout[0] == 'T', tb = layout[1] == 'T', repeat = 1;
  float *a = random_floats((size_t)m * k), *b = random_floats((size_t)k * n), *c = random_floats((size_t)m * n);
  double best = 1e9, end = now() + seconds;
  while (now() < end) {
    double t = now();
    for (int i = 0; i < repeat; i++)
      f(101, ta ? 112 : 111, tb ? 112 : 111, m, n, k, 1, a, ta ? m : k, b, tb ? k : n, 0, c, n);
    t = now() - t;
    if (t < 2e-5) { repeat *= 2; continue; }
    if (t / repeat < best) best = t / repeat;
  }
  free(a); free(b); free(c);
  return 2.0 * m * n * k / best / 1e9;
}

int main(int argc, char **argv) {
  char layout[8], first[32];
  int n, k;
  double seconds;
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  sgemm *f = library ? (sgemm *)dlsym(library, "cblas_sgemm") : NULL;
  char *(*config)(void) = library ? (char *(*)(void))dlsym(library, "openblas_get_config") : NULL;
  printf("%s\n", config ? config() : f ? "a BLAS that does not say its name" : "none");
  fflush(stdout);
  while (scanf("%31s %d %d %7s %lf", first, &n, &k, layout, &seconds) == 5) {
    double g = 0;
    if (!strcmp(first, "peak")) g = peak(n, seconds);
    else if (f) g = measure(f, atoi(first), n, k, layout, seconds);
    printf("%.2f\n", g);
    fflush(stdout);
  }
  return 0;
}
