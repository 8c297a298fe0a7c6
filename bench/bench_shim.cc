/*
 * bench/bench_shim.cc - see bench_shim.h.
 */
#include "bench_shim.h"

#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#if __has_include(<boost/beast/websocket/detail/utf8_checker.hpp>)
#define HAVE_BEAST 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <boost/beast/websocket/detail/mask.hpp>
#include <boost/beast/websocket/detail/utf8_checker.hpp>
#pragma GCC diagnostic pop
#else
#define HAVE_BEAST 0
#endif

namespace {

/* Keeps what was measured and prints nothing: the program does. CPU time, so that other processes disturb less. */
class Collector : public benchmark::BenchmarkReporter {
public:
    Collector(bench_case *cases, unsigned n) : cases_(cases), n_(n)
    {
    }

    bool ReportContext(const Context &) override
    {
        return true;
    }

    void ReportRuns(const std::vector<Run> &runs) override
    {
        for (const Run &run : runs) {
            unsigned i = static_cast<unsigned>(std::stoul(run.run_name.function_name));
            if (run.run_type == Run::RT_Iteration && !run.error_occurred && i < n_) {
                cases_[i].ns[cases_[i].rounds++] = run.cpu_accumulated_time * 1e9 / static_cast<double>(run.iterations);
            }
        }
    }

private:
    bench_case *cases_;
    unsigned n_;
};

} // namespace

extern "C" {

void bench_init(int *argc, char **argv)
{
    static char name[] = "bench", interleave[] = "--benchmark_enable_random_interleaving=true";
    char *own[] = {name, interleave, nullptr};
    int own_n = 2;
    benchmark::Initialize(&own_n, own);
    benchmark::Initialize(argc, argv);
}

int bench_run(bench_case *cases, unsigned n, unsigned rounds, double seconds_min)
{
    benchmark::ClearRegisteredBenchmarks();
    for (unsigned i = 0; i < n; i++) {
        bench_case *c = &cases[i];
        c->rounds = 0;
        /* Its number for a name: names need not be unique, and one may be a prefix of another. */
        benchmark::RegisterBenchmark(std::to_string(i).c_str(),
                                     [c](benchmark::State &state) {
                                         for (auto _ : state) {
                                             c->pass(c->arg);
                                             benchmark::ClobberMemory();
                                         }
                                     })
            ->Repetitions(static_cast<int>(rounds))
            ->MinTime(seconds_min);
    }
    Collector collector(cases, n);
    benchmark::RunSpecifiedBenchmarks(&collector, nullptr, "all");
    for (unsigned i = 0; i < n; i++) {
        if (cases[i].rounds != rounds) {
            return -1;
        }
    }
    return 0;
}

#if HAVE_BEAST
const bool bench_beast = true;

void bench_beast_mask(uint8_t *p, size_t len, uint32_t key)
{
    boost::beast::websocket::detail::prepared_key prepared;
    boost::beast::websocket::detail::prepare_key(prepared, key);
    boost::beast::websocket::detail::mask_inplace(boost::asio::mutable_buffer(p, len), prepared);
}

bool bench_beast_utf8(const uint8_t *p, size_t len)
{
    boost::beast::websocket::detail::utf8_checker checker;
    return checker.write(p, len) && checker.finish();
}
#else
const bool bench_beast = false;

void bench_beast_mask(uint8_t *, size_t, uint32_t)
{
}

bool bench_beast_utf8(const uint8_t *, size_t)
{
    return false;
}
#endif

} // extern "C"
