// Heads of requests for tests, without a parser.
#pragma once

#include "sluice/base/assert.h"
#include "sluice/http/head.h"

#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>

namespace sluice::cache::test {

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

inline std::unique_ptr<http::Head> head_of(Fields fields) {
    auto head = std::make_unique<http::Head>();
    for (const auto& [name, value] : fields) {
        SLUICE_ASSERT(head->count < head->storage.size());
        const http::FieldId id = http::field_id(name);
        head->storage[head->count++] = {name, value, id};
        head->present.add(id);
    }
    return head;
}

}  // namespace sluice::cache::test
