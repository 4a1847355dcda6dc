// CatalogUse: the catalog a shard routes by now, and the older ones that exchanges still use.
//
// The snapshot itself is shared by all shards; this counts its users on one shard with a plain
// integer, so that a request touches no counter that another core writes.
#pragma once

#include <memory>
#include <utility>

#include "sluice/upstream/catalog.h"

namespace sluice::proxy {

class CatalogUse {
    struct Version {
        std::shared_ptr<const upstream::Catalog> catalog;  // shared by all shards
        std::size_t users = 0;
    };

public:
    // A user of one version; move-only.
    class Ref {
    public:
        Ref() = default;
        explicit Ref(Version& version) : version_(&version) { ++version.users; }
        Ref share() const { return Ref(*version_); }
        Ref(Ref&& other) noexcept : version_(std::exchange(other.version_, nullptr)) {}
        Ref& operator=(Ref&& other) noexcept {
            if (this != &other) {
                release();
                version_ = std::exchange(other.version_, nullptr);
            }
            return *this;
        }
        ~Ref() { release(); }

        explicit operator bool() const { return version_ != nullptr; }
        const upstream::Catalog& operator*() const { return *version_->catalog; }
        const upstream::Catalog* operator->() const { return version_->catalog.get(); }

    private:
        void release() {
            if (version_ != nullptr && --version_->users == 0) delete version_;
            version_ = nullptr;
        }
        Version* version_ = nullptr;
    };

    CatalogUse() { replace(std::make_shared<const upstream::Catalog>()); }

    void replace(std::shared_ptr<const upstream::Catalog> catalog) {
        auto* version = new Version{std::move(catalog), 0};  // freed by its last Ref
        current_ = Ref(*version);
    }
    Ref share() const { return current_.share(); }
    const upstream::Catalog& operator*() const { return *current_; }
    const upstream::Catalog* operator->() const { return &*current_; }

private:
    Ref current_;
};

}  // namespace sluice::proxy
