// Result<T>: a value, or an Error that says whose fault it is and whether a retry may help.
//
// A refusal is a value; a bug is an assertion; exceptions do not cross a module border
// (g++ 12 has std::expected, but it carries neither source nor retry).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "sluice/base/assert.h"

namespace sluice {

// Whose fault a failure is. Every failed request is attributed to exactly one of them.
enum class Source : std::uint8_t { client, gateway, backend, policy };

// Whether the same request may be sent again.
// `reused_only`: only when it failed on a reused keep-alive connection before any byte came back
// (RFC 9112 section 9.3.1).
enum class Retry : std::uint8_t { no, reused_only, yes };

// A failure: what happened, in words for the person who reads it.
struct Error {
    Source source = Source::gateway;
    Retry retry = Retry::no;
    int status = 500;     // the HTTP status that tells a client about it
    std::string message;  // one sentence: what was wrong, where, what to do

    static Error client(int status, std::string message) {
        return {Source::client, Retry::no, status, std::move(message)};
    }
    static Error gateway(std::string message) {
        return {Source::gateway, Retry::no, 500, std::move(message)};
    }
    static Error backend(int status, Retry retry, std::string message) {
        return {Source::backend, retry, status, std::move(message)};
    }
};

template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    T& value() & {
        SLUICE_ASSERT(ok());
        return *std::get_if<0>(&state_);
    }
    const T& value() const& {
        SLUICE_ASSERT(ok());
        return *std::get_if<0>(&state_);
    }
    T&& value() && {
        SLUICE_ASSERT(ok());
        return std::move(*std::get_if<0>(&state_));
    }
    const Error& error() const {
        SLUICE_ASSERT(!ok());
        return *std::get_if<1>(&state_);
    }
    T* operator->() { return &value(); }
    T& operator*() & { return value(); }

private:
    std::variant<T, Error> state_;
};

// A step that yields nothing but may fail.
struct Done {};
using Status = Result<Done>;

}  // namespace sluice
