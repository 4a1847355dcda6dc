// The store of answers against a simple model of it: random operations, and after every one of them
// the counted bytes are those of what is in it and not above the bound, what is found is what was
// put last, and nothing that is over or purged is ever found.
//
// One seed is 100,000 operations on a store of random bounds. The model knows all that may be
// found; the store may have evicted some of it, but what it missed once stays missed until it is
// put again.
#include "driver.h"
#include "sluice/base/prng.h"
#include "sluice/cache/store.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::sim {
namespace {

using cache::Answer;
using cache::Found;
using cache::Key;
using cache::Scope;
using cache::ScopeKind;
using cache::Store;
using cache::Stored;

constexpr std::uint64_t operations = 100'000;
// How often all is counted anew: always while that is few.
constexpr std::uint64_t recounted_every = 500;
constexpr std::size_t recounted_always = 16;

constexpr std::array<std::string_view, 3> models{"m", "other", ""};
constexpr std::array<std::string_view, 3> consumers{"anna", "bert", ""};
constexpr std::array<Scope, 4> scopes{
    Scope{ScopeKind::consumer, "anna"}, Scope{ScopeKind::consumer, "bert"},
    Scope{ScopeKind::group, "anna"}, Scope{ScopeKind::everybody, ""}};

struct Put {
    std::shared_ptr<const Answer> answer;
    Instant created;
    Duration ttl;
};

class StoreRun {
public:
    explicit StoreRun(std::uint64_t seed)
        : prng_(seed), store_(random_bounds(prng_), prng_.next()) {
        text_.assign(64 * 1024, 'x');
        for (char& c : text_)
            c = static_cast<char>(prng_.between(' ', '~'));
        key_count_ = std::uint64_t{1} << prng_.between(4, 13);
        for (std::uint64_t i = 0; i < key_count_; ++i) {
            const std::uint64_t number = prng_.next();
            Key key{sha256({reinterpret_cast<const char*>(&number), sizeof number})};
            // Some have one hash: only the rest of the key tells them apart.
            if (prng_.chance(1, 4) && i > 0)
                std::copy_n(keys_.back().digest.begin(), 8, key.digest.begin());
            keys_.push_back(key);
        }
    }

    void run() {
        for (std::uint64_t i = 0; i < operations; ++i) {
            now_ = now_ + Duration{static_cast<std::int64_t>(prng_.below(2'000'000))};
            operate();
            expect(store_.bytes() <= store_.bytes_max(), "more bytes than the bound");
            const bool is_small = store_.entries() <= recounted_always;
            if (is_small || i % recounted_every == 0 || i + 1 == operations)
                expect(store_.recount() == store_.bytes(), "the bytes are not those counted anew");
        }
        store_.purge_all();
        expect(store_.entries() == 0, "an answer outlived the purge of all");
        expect(store_.recount() == store_.bytes(), "the bytes of nothing");
    }

private:
    static cache::StoreBounds random_bounds(Prng& prng) {
        return {.bytes = prng.below(std::uint64_t{1} << prng.between(10, 22)),
                .entries = prng.chance(1, 2) ? 0 : prng.between(1, 3000),
                .answer_share = prng.between(1, 64)};
    }

    // Small numbers more often than large ones.
    std::uint64_t random_key() { return prng_.below(prng_.between(1, key_count_)); }

    void operate() {
        const std::uint64_t choice = prng_.below(1000);
        if (choice < 500) return find();
        if (choice < 960) return insert();
        if (choice < 980) return sweep();
        if (choice < 997) return purge_key();
        purge_many();
    }

    void find() {
        const std::uint64_t number = random_key();
        std::optional<Duration> max_age;
        if (prng_.chance(1, 4)) max_age = Duration::millis(static_cast<int>(prng_.below(3000)));
        const std::uint64_t entries = store_.entries();
        const Found found = store_.find(keys_[number], now_, max_age);
        const auto known = model_.find(number);
        if (!found) {
            // Too old for this request alone; else it is gone for good.
            const bool may_stay = known != model_.end() && max_age &&
                                  now_ - known->second.created > *max_age &&
                                  entries == store_.entries();
            if (known != model_.end() && !may_stay) model_.erase(known);
            return;
        }
        expect(known != model_.end(), "an answer that nobody put, or that is gone");
        expect(found.answer == known->second.answer, "another answer than was put");
        expect(found.age == now_ - known->second.created, "another age");
        expect(found.age < known->second.ttl, "an answer that is over");
        expect(!max_age || found.age <= *max_age, "an answer that is older than asked for");
        expect(text_.starts_with(found.answer->body()), "another body than was put");
    }

    void insert() {
        const std::uint64_t number = random_key();
        const std::size_t size = prng_.below(std::uint64_t{1} << prng_.between(4, 16));
        std::vector<cache::AnswerEvent> events(prng_.chance(1, 2) ? 0 : prng_.below(20));
        const auto answer = Answer::make({.content_type = "application/json",
                                          .model = models[prng_.below(models.size())],
                                          .scope = scopes[prng_.below(scopes.size())],
                                          .consumer = consumers[prng_.below(consumers.size())]},
                                         std::string_view(text_).substr(0, size), events);
        const Duration ttl = Duration::millis(static_cast<int>(prng_.below(20'000)));
        const Duration age = prng_.chance(1, 10)
                                 ? Duration::millis(static_cast<int>(prng_.below(9000)))
                                 : Duration{};
        const Stored stored = store_.insert(keys_[number], answer, now_, ttl, age);
        if (stored == Stored::stored || stored == Stored::replaced) {
            expect(answer->bytes() <= store_.answer_bytes_max(), "more than its share was taken");
            expect(age < ttl, "an answer was taken that is over");
            model_[number] = {answer, {now_.ns - age.ns}, ttl};
        } else {
            expect(answer->bytes() > store_.answer_bytes_max() || age >= ttl, "one was refused");
        }
    }

    void sweep() {
        const std::uint64_t entries = store_.entries();
        const std::size_t looks = prng_.below(200);
        const std::size_t gone = store_.sweep(now_, looks);
        expect(gone <= looks && store_.entries() == entries - gone, "a sweep took more");
    }

    void purge_key() {
        const std::uint64_t number = random_key();
        const std::size_t gone = store_.purge(keys_[number]);
        expect(gone == 0 || model_.contains(number), "one was purged that was not there");
        model_.erase(number);
    }

    void purge_many() {
        const std::string_view model = models[prng_.below(models.size())];
        const std::string_view consumer = consumers[prng_.below(consumers.size())];
        const Scope scope = scopes[prng_.below(scopes.size())];
        const std::uint64_t kind = prng_.below(3);
        const std::size_t known = model_.size();
        const std::size_t gone = kind == 0   ? store_.purge_model(model)
                                 : kind == 1 ? store_.purge_consumer(consumer)
                                             : store_.purge_scope(scope);
        std::erase_if(model_, [&](const auto& each) {
            const Answer& answer = *each.second.answer;
            if (kind == 0) return answer.model() == model;
            if (kind == 1) return answer.consumer() == consumer;
            return answer.scope().kind == scope.kind && answer.scope().name == scope.name;
        });
        expect(gone <= known - model_.size(), "more was purged than there was");
    }

    Prng prng_;
    Store store_;
    std::string text_;
    std::uint64_t key_count_ = 0;
    std::vector<Key> keys_;
    Instant now_;
    std::map<std::uint64_t, Put> model_;
};

std::uint64_t scenario(const Run& run) {
    StoreRun(run.seed).run();
    return operations;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
    return sluice::sim::drive(argc, argv, "operations", sluice::sim::scenario);
}
