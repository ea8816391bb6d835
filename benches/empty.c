/* A shared library with nothing in it to call: what a call through the PLT costs by itself. */

void bench_empty(void);
void bench_empty_too(void);

void bench_empty(void)
{
}

void bench_empty_too(void)
{
}
