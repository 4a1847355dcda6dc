#include "sluice/http/head.h"

#include "grammar.h"

#include <algorithm>

namespace sluice::http {

bool same_name(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    if (a == b) return true;  // mostly they are written alike
    return std::equal(a.begin(), a.end(), b.begin(),
                      [](char x, char y) { return x == y || to_lower(x) == to_lower(y); });
}

std::string_view Head::find(FieldId id) const {
    if (!has(id)) return {};
    return std::ranges::find(fields(), id, &Field::id)->value;
}

std::string_view Head::find(std::string_view name) const {
    for (const Field& field : fields()) {
        if (same_name(field.name, name)) return field.value;
    }
    return {};
}

std::string_view Head::media_type() const {
    return without_parameters(find(FieldId::content_type));
}

std::size_t Head::occurrences(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        fields(), [name](const Field& field) { return same_name(field.name, name); }));
}

bool Head::connection_lists(std::string_view field) const {
    for (const Field& at : fields()) {
        if (at.id != FieldId::connection) continue;
        std::string_view list = at.value;
        std::string_view option;
        while (next_element(list, option)) {
            if (same_name(option, field)) return true;
        }
    }
    return false;
}

}  // namespace sluice::http
