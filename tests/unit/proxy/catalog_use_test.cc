#include "sluice/proxy/catalog_use.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <utility>

using namespace sluice::proxy;
using sluice::upstream::Catalog;

namespace {

std::shared_ptr<const Catalog> named(const char* name) {
    auto catalog = std::make_shared<Catalog>();
    auto endpoint = std::make_shared<sluice::upstream::Endpoint>();
    catalog->add(name, {}, {endpoint, name, {}});
    return catalog;
}

}  // namespace

TEST_CASE("there is an empty catalog from the start") {
    CatalogUse use;
    CHECK(use->empty());
    CHECK((*use).models().empty());
}

TEST_CASE("a catalog lives as long as somebody uses it, and no longer") {
    std::weak_ptr<const Catalog> first;
    CatalogUse use;
    {
        auto catalog = named("a");
        first = catalog;
        use.replace(std::move(catalog));
    }
    CHECK_FALSE(first.expired());
    CatalogUse::Ref one = use.share();
    CatalogUse::Ref two = one.share();
    use.replace(named("b"));
    CHECK(use->find("b") != nullptr);
    CHECK(use->find("a") == nullptr);
    // Users of the old one still see it.
    CHECK(one->find("a") != nullptr);
    one = CatalogUse::Ref();
    CHECK_FALSE(first.expired());
    CHECK((*two).find("a") != nullptr);
    two = use.share();
    CHECK(first.expired());
    CHECK(two->find("b") != nullptr);
}

TEST_CASE("a catalog that nobody else uses goes when it is replaced") {
    CatalogUse use;
    auto catalog = named("a");
    const std::weak_ptr<const Catalog> first = catalog;
    use.replace(std::move(catalog));
    use.replace(named("b"));
    CHECK(first.expired());
}

TEST_CASE("a reference that moves is counted once") {
    std::weak_ptr<const Catalog> watched;
    std::optional<CatalogUse> use(std::in_place);
    auto catalog = named("a");
    watched = catalog;
    use->replace(std::move(catalog));
    CatalogUse::Ref one = use->share();
    CatalogUse::Ref two = std::move(one);
    CHECK_FALSE(static_cast<bool>(one));
    CHECK(static_cast<bool>(two));
    CatalogUse::Ref& same = two;
    two = std::move(same);
    CHECK(two->find("a") != nullptr);
    use.reset();
    CHECK_FALSE(watched.expired());
    two = CatalogUse::Ref();
    CHECK(watched.expired());
}
