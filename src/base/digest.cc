#include "sluice/base/digest.h"

#include "sluice/base/assert.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace sluice {
namespace {

int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

bool same_digest(const Digest& a, const Digest& b) {
    return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<Digest> parse_digest(std::string_view hex) {
    Digest digest;
    if (hex.size() != 2 * digest.size()) return std::nullopt;
    for (std::size_t i = 0; i < digest.size(); ++i) {
        const int high = digit_value(hex[2 * i]);
        const int low = digit_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        digest[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return digest;
}

struct Sha256::Library {
    // Fetched once: looking an algorithm up costs more than a short digest.
    EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    EVP_MD_CTX* context = EVP_MD_CTX_new();

    Library() {
        SLUICE_ASSERT(algorithm != nullptr && context != nullptr);
        SLUICE_ASSERT(EVP_DigestInit_ex2(context, algorithm, nullptr) == 1);
    }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;
    ~Library() {
        EVP_MD_CTX_free(context);
        EVP_MD_free(algorithm);
    }
};

Sha256::Sha256() : library_(std::make_unique<Library>()) {}

Sha256::~Sha256() = default;

Digest Sha256::of(std::string_view text) {
    Digest digest;
    unsigned size = 0;
    EVP_MD_CTX* context = library_->context;
    // Without an algorithm: the one that the context has, begun anew.
    SLUICE_ASSERT(EVP_DigestInit_ex2(context, nullptr, nullptr) == 1);
    SLUICE_ASSERT(EVP_DigestUpdate(context, text.data(), text.size()) == 1);
    SLUICE_ASSERT(EVP_DigestFinal_ex(context, digest.data(), &size) == 1);
    SLUICE_ASSERT(size == digest.size());
    return digest;
}

}  // namespace sluice
