#include "report.h"

#include "charts.h"
#include "json_check.h"
#include "svg.h"
#include "table.h"
#include "text.h"

#include <doctest/doctest.h>

using namespace sluice::bench;

namespace {

Heading titled(std::string title) {
    return {.title = std::move(title), .facts = {}};
}

Measured sample(std::uint64_t scale) {
    Measured measured;
    measured.seconds = 2;
    measured.used = ProcessUsage{.cpu_ns = 1'000'000, .rss_bytes = 1 << 20, .switches = 3};
    Tally& tally = measured.tally;
    for (std::uint64_t i = 1; i <= 100; ++i)
        tally.latency.record(i * 1000 * scale);
    tally.requests = 100;
    tally.statuses[200] = 100;
    tally.statuses[503] = 1;
    tally.count(Failure::status, "status 503: \"<busy> & \\ back\"\n");
    return measured;
}

Comparison sample_comparison() {
    Comparison comparison({"first", "<second>"});
    for (std::uint64_t round = 1; round <= 3; ++round) {
        comparison.add(0, sample(round));
        comparison.add(1, sample(2 * round));
    }
    return comparison;
}

// Nothing is fetched, and every tag that must be closed is.
void check_page(const std::string& page) {
    for (const char* word : {"http:", "https:", "src=", "href=", "@import", "url("})
        CHECK(page.find(word) == std::string::npos);
    for (const std::string tag : {"svg", "table", "tr", "div", "p", "html", "body", "title"}) {
        const auto count = [&](const std::string& text) {
            std::size_t found = 0;
            for (auto at = page.find(text); at != std::string::npos; at = page.find(text, at + 1))
                ++found;
            return found;
        };
        CAPTURE(tag);
        CHECK(count("<" + tag + ">") + count("<" + tag + " ") == count("</" + tag + ">"));
    }
}

}  // namespace

TEST_CASE("the JSON reports are JSON, whatever a server said") {
    const auto measured = sample(1);
    const auto single = json_report(titled("a \"title\""), measured, metrics_of(measured));
    CHECK(JsonCheck::valid(single));
    CHECK(single.find(R"("failures":{"status":1})") != std::string::npos);
    CHECK(single.find(R"("statuses":{"200":100,"503":1})") != std::string::npos);
    CHECK(single.find(R"("requests_per_s":50)") != std::string::npos);
    const auto comparison = json_report(titled(""), sample_comparison());
    CHECK(JsonCheck::valid(comparison));
    CHECK(comparison.find(R"("ratio":{"median":2)") != std::string::npos);
}

TEST_CASE("the pages need nothing but themselves, and show what failed as text") {
    const auto measured = sample(1);
    const auto single = html_report(titled("one & only"), measured, metrics_of(measured));
    check_page(single);
    CHECK(single.find("one &amp; only") != std::string::npos);
    CHECK(single.find("&lt;busy&gt; &amp; ") != std::string::npos);
    CHECK(single.find("<busy>") == std::string::npos);
    CHECK(single.find("<polyline") != std::string::npos);
    const auto comparison = html_report(titled(""), sample_comparison());
    check_page(comparison);
    CHECK(comparison.find("&lt;second&gt;") != std::string::npos);
    CHECK(comparison.find("2.00x [2.00-2.00]") != std::string::npos);
}

TEST_CASE("every report says what became of the stalled clients") {
    auto measured = sample(1);
    const auto without = metrics_of(measured);
    CHECK(find(without, "stalled_at_end") == nullptr);
    CHECK(json_report(titled(""), measured, without).find("stalled\"") == std::string::npos);
    CHECK(table_of(measured, without).find("stalled clients") == std::string::npos);

    measured.stalled = StalledCount{.asked = 100,
                                    .at_begin = 99,
                                    .at_end = 98,
                                    .answered = 97,
                                    .refused = 2,
                                    .unread = 4096,
                                    .first_refusal = "HTTP/1.1 503 \"<busy>\""};
    const auto metrics = metrics_of(measured);
    CHECK(find(metrics, "stalled_at_begin")->value == 99);
    CHECK(find(metrics, "stalled_at_end")->value == 98);
    CHECK(find(metrics, "stalled_answered")->value == 97);
    const auto json = json_report(titled(""), measured, metrics);
    CHECK(JsonCheck::valid(json));
    CHECK(json.find(R"("stalled":{"asked":100,"at_begin":99,"at_end":98,"answered":97,)"
                    R"("refused":2,"first_refusal":"HTTP/1.1 503 \"<busy>\"",)"
                    R"("unread_bytes":4096})") != std::string::npos);
    CHECK(table_of(measured, metrics)
              .find("100 stalled clients beside it: 99 open at the begin, 98 at the end, 97 "
                    "answered, 4 KiB unread; 2 refused, the first one: HTTP/1.1 503 ") !=
          std::string::npos);
    const auto page = html_report(titled(""), measured, metrics);
    check_page(page);
    CHECK(page.find("98 at the end") != std::string::npos);
    CHECK(page.find("<busy>\"") == std::string::npos);
    Comparison comparison({"first", "second"});
    comparison.add(0, sample(1));
    comparison.add(1, measured);
    CHECK(JsonCheck::valid(json_report(titled(""), comparison)));
    CHECK(json_report(titled(""), comparison).find(R"("stalled_at_end":98)") != std::string::npos);
    CHECK(table_of(comparison).find("stalled, at end") != std::string::npos);
}

TEST_CASE("every report says what was due and not answered, and that the rate was missed") {
    auto measured = sample(1);
    CHECK(find(metrics_of(measured), "due_unanswered") == nullptr);
    CHECK(shown_missed_rate(measured.tally).empty());

    // 100 right, 1 failed: 95 % of 106 came to an end, of 107 less.
    measured.tally.due = 106;
    CHECK(shown_missed_rate(measured.tally).empty());
    measured.tally.due = 107;
    for (int i = 0; i < 6; ++i)
        measured.tally.count_unanswered(sluice::Duration::seconds(3));
    CHECK(measured.tally.latency.count() == 106);
    CHECK(measured.tally.latency.max() == 3'000'000'000);
    const auto metrics = metrics_of(measured);
    CHECK(find(metrics, "due_unanswered")->value == 6);
    CHECK(find(metrics, "due_per_s")->value == 53.5);
    const std::string warning = "107 requests were due and 101 came to an end (94.4 %); 6 are not";
    CHECK(shown_missed_rate(measured.tally).find(warning) != std::string::npos);
    CHECK(html_report(titled(""), measured, metrics).find(warning) != std::string::npos);
    CHECK(table_of(measured, metrics).find("107 due, 6 of them not answered") != std::string::npos);
    const auto json = json_report(titled(""), measured, metrics);
    CHECK(JsonCheck::valid(json));
    CHECK(json.find(R"("due":107,"due_unanswered":6,"rate_missed":true)") != std::string::npos);
}

TEST_CASE("every report is valid UTF-8, whatever a server sent") {
    Measured measured = sample(1);
    measured.tally.first_failure = "\xff\xe2\x82";
    measured.stalled = StalledCount{.asked = 1, .refused = 1, .first_refusal = "HTTP \xff"};
    const auto metrics = metrics_of(measured);
    Comparison comparison({"a\xff", "b"});
    comparison.add(0, measured);
    comparison.add(1, measured);
    for (const auto& report :
         {json_report(titled("t\xff"), measured, metrics),
          html_report(titled("t\xff"), measured, metrics), json_report(titled("t\xff"), comparison),
          html_report(titled("t\xff"), comparison)}) {
        CHECK(valid_text(report) == report);
        CHECK(report.find("\ufffd\ufffd\ufffd") != std::string::npos);
        CHECK(report.find("t\ufffd") != std::string::npos);
    }
}

TEST_CASE("every report says that the gateway's process ended") {
    Measured measured = sample(1);
    measured.used.reset();
    measured.process_ended = true;
    const auto metrics = metrics_of(measured);
    CHECK(find(metrics, "cpu_us_per_request") == nullptr);
    Comparison comparison({"a", "b"});
    comparison.add(0, sample(1));
    comparison.add(1, measured);
    comparison.add(1, sample(1));
    const std::string words = "the process of --pid ended during the run";
    CHECK(table_of(measured, metrics).find(words) != std::string::npos);
    CHECK(html_report(titled(""), measured, metrics).find(words) != std::string::npos);
    CHECK(json_report(titled(""), measured, metrics).find(R"("process_ended":true)") !=
          std::string::npos);
    CHECK(table_of(comparison).find("b: " + words) != std::string::npos);
    CHECK(table_of(comparison).find("a: " + words) == std::string::npos);
    CHECK(html_report(titled(""), comparison).find("b: " + words) != std::string::npos);
}

TEST_CASE("a comparison shows no figure where nothing was measured") {
    Measured dead;
    dead.seconds = 1;
    Comparison comparison({"good", "dead"});
    comparison.add(0, sample(1));
    comparison.add(1, dead);
    const auto table = table_of(comparison);
    const auto line_of = [&](const std::string& label) {
        const auto at = table.find("\n" + label);
        REQUIRE(at != std::string::npos);
        return table.substr(at + 1, table.find('\n', at + 1) - at - 1);
    };
    CHECK(line_of("latency p50").ends_with("50.0             -"));
    CHECK(line_of("CPU / request").ends_with("10.0             -"));
    CHECK(line_of("requests").ends_with("50.0             0"));
}

TEST_CASE("a chart without a value is no chart") {
    const Histogram none;
    CHECK(percentile_chart("latency", {{"a", &none}}).empty());
    CHECK(ratio_chart(Comparison({"alone"})).empty());
}

TEST_CASE("the tables name failures, and numbers keep three digits") {
    const auto measured = sample(1);
    const auto table = table_of(measured, metrics_of(measured));
    CHECK(table.find("1 requests FAILED: status 1") != std::string::npos);
    CHECK(table.find("the first one: status 503") != std::string::npos);
    CHECK(table_of(sample_comparison()).find("2.00 [2.00-2.00]") != std::string::npos);
    CHECK(shown_number(0) == "0");
    CHECK(shown_number(0.1234) == "0.123");
    CHECK(shown_number(1.234) == "1.23");
    CHECK(shown_number(12.34) == "12.3");
    CHECK(shown_number(-1234.5) == "-1234");
}
