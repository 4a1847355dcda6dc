#include "sluice/answer/campaign.h"

#include "sluice/base/assert.h"

#include <algorithm>
#include <utility>

namespace sluice::answer {
namespace {

using policy::FailureClass;
using policy::FallbackChain;
using policy::Fate;
using upstream::Finding;

// A server that says again and again that it loads, and in between that it is well, is not.
constexpr std::uint8_t loads_max = 3;

// What it turned out to have room for; a context that nobody knows is taken for no larger one.
std::uint64_t context_of(const upstream::Target& target) {
    return std::max<std::uint64_t>(1, target.setting.context);
}

}  // namespace

void Campaign::begin(const upstream::Model& model, std::string name) {
    SLUICE_ASSERT(model_ == nullptr);
    routed_ = &model;
    turn(model, std::move(name));
}

void Campaign::turn(const upstream::Model& model, std::string name) {
    model_ = &model;
    name_ = std::move(name);
    tried_ = context_min_ = 0;
    unwilling_too_ = false;
}

upstream::Wish Campaign::wish() const {
    upstream::Wish wish;
    wish.model = model_;
    wish.tried = tried_;
    wish.context_min = context_min_;
    wish.unwilling_too = unwilling_too_;
    return wish;
}

upstream::Wish Campaign::whole_wish() const {
    upstream::Wish wish;
    wish.model = routed_;
    wish.unwilling_too = unwilling_too_;
    return wish;
}

// --- places ---------------------------------------------------------------------------------

Campaign::Step Campaign::found(const upstream::Found& found) {
    SLUICE_ASSERT(model_ != nullptr);
    switch (found.finding) {
        case Finding::placed:
            return Step::attempt;
        case Finding::busy:
        case Finding::loading:
            return Step::line;
        case Finding::exhausted:
            break;
    }
    return exhausted(found);
}

Campaign::Step Campaign::line_is_full() {
    if (turn_to_fallback(FallbackChain::overload, false)) return Step::look;
    return give_up({Source::gateway, Retry::yes, 429,
                    "All slots of the model '" + model_->name +
                        "' are in use and its queue is full. Try again later."});
}

Campaign::Step Campaign::exhausted(const upstream::Found& found) {
    const auto chain = found.resting ? FallbackChain::rate_limit : chain_;
    if (turn_to_fallback(chain, found.unwilling)) return Step::look;
    if (found.unwilling || turn_back()) {
        unwilling_too_ = true;
        return Step::look;
    }
    if (hops_ > 0) return Step::give_up;  // for what failed last
    return give_up({Source::backend, Retry::yes, 503,
                    "The backends of the model '" + model_->name +
                        "' failed lately and are left alone for a moment. Try again later."});
}

void Campaign::attempt(const upstream::Target& target) {
    tried_ |= bit_of(target);
}

// Another model, which the settings name for such a failure. `unwilling`: of this one a target is
// left that would rather not be asked.
bool Campaign::turn_to_fallback(FallbackChain chain, bool unwilling) {
    const upstream::Match* next = next_fallback(chain);
    if (next == nullptr) return false;
    if (unwilling && unwilling_ == nullptr)
        unwilling_ = std::make_unique<upstream::Match>(model_, name_);
    if (turned_to_.empty()) begun_chain_ = chain;
    turned_to_.push_back(next->model);
    turn(*next->model, next->name);
    return true;
}

// No fallback will do, either: back to a model of which somebody is left.
bool Campaign::turn_back() {
    if (unwilling_ == nullptr || !may_hop()) return false;
    const auto back = std::move(unwilling_);
    turn(*back->model, std::move(back->name));
    return true;
}

// A chain that was begun is gone through, and then that of what happened on it.
const upstream::Match* Campaign::next_fallback(FallbackChain chain) const {
    if (fallbacks_over_ || !may_hop()) return nullptr;
    for (const auto which : {begun_chain_, chain}) {
        for (const upstream::Match& match : routed_->fallbacks.of(which))
            if (std::ranges::find(turned_to_, match.model) == turned_to_.end()) return &match;
    }
    return nullptr;
}

// --- tries ----------------------------------------------------------------------------------

void Campaign::count_hop(const upstream::Target& target, FailureClass as) {
    ++hops_;
    failed_as_ = as;
    last_ = &target;
    if (first_ == nullptr) first_ = &target;
    failed_elsewhere_ |= &target != first_;
}

void Campaign::fail(Failed&& failed) {
    SLUICE_ASSERT(failed.target != nullptr);
    count_hop(*failed.target, failed.as);
    const auto disposition = policy::disposition_of(failed.as);
    chain_ = failed.chain;
    // What does not suit a request is overloaded by nobody.
    free_hop_ |= !disposition.budgeted;
    failure_ = std::move(failed.error);
    harmful_ = failed.may_be_done && failed.as != FailureClass::loop;
    if (failed.body_gone) failure_.message += " The request's body was not kept to be sent again.";
    if (harmful_)
        failure_.message +=
            " The request was sent: it may have been done or not, so it is not sent again.";
    final_ = disposition.relayed || failed.body_gone || harmful_;
    if (disposition.next == policy::NextBackend::no)
        tried_ = ~std::uint64_t{0};
    else if (disposition.next == policy::NextBackend::larger_context)
        want_context(context_of(*failed.target));
}

bool Campaign::doubts() const {
    return !final_ && failed_as_ == FailureClass::doubtful;
}

Campaign::Step Campaign::next(const Outlook& outlook) {
    SLUICE_ASSERT(last_ != nullptr);
    blames_ = false;
    const bool others = outlook.others || has_fallback(chain_) || unwilling_ != nullptr;
    if (doubts()) {
        // Somebody else is asked what one has failed of, though that may be the request's fault:
        // once, and not where the same has been found out lately.
        final_ = std::exchange(second_opinion_, true) || outlook.known_to_fail;
        failed_elsewhere_ |= final_ && others;  // two have said so, now or lately
        blames_ = final_ || !others;
    }
    if (final_ || !may_hop()) return Step::give_up;
    if (failed_as_ == FailureClass::loading && ++loads_ <= loads_max && outlook.loads) {
        // It will do when it is loaded, which somebody looks after.
        tried_ &= ~bit_of(*last_);
        return Step::look;
    }
    if (outlook.fate == Fate::moves && !others) return Step::give_up;
    return again(outlook.fate);
}

Campaign::Step Campaign::again(Fate fate) {
    switch (fate) {
        case Fate::stops:
            return Step::stop;
        case Fate::waits:
            return Step::pause;
        case Fate::moves:
            break;
    }
    return std::exchange(free_hop_, false) ? Step::look : Step::retry;
}

void Campaign::tire() {
    failure_.message += " Nobody else was asked: too many requests are being tried again.";
}

void Campaign::want_context(std::uint64_t tokens) {
    context_min_ = std::max(context_min_, tokens);
}

// --- facts ----------------------------------------------------------------------------------

Campaign::Step Campaign::give_up(Error error) {
    failure_ = std::move(error);
    return Step::give_up;
}

policy::RefusalFacts Campaign::refusal() const {
    return {.source = failure_.source,
            .status = failure_.status,
            .failure = failed_as_,
            .tried_elsewhere = failed_elsewhere_,
            .harmful = harmful_,
            .known = {},
            .said = {}};
}

std::uint64_t Campaign::bit_of(const upstream::Target& target) const {
    const auto index = &target - model_->targets.data();
    SLUICE_ASSERT(index >= 0 && index < 64);
    return std::uint64_t{1} << index;
}

}  // namespace sluice::answer
