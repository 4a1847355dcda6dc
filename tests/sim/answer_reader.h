// AnswerReader: a client's own reading of HTTP/1.1 answers, written apart from the gateway's parser
// so that both cannot be wrong in the same way. Fails the run on anything that is not HTTP.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace sluice::sim {

class AnswerReader {
public:
    enum class Framing { none, length, chunked, until_close };

    // The next answer is one to this request.
    void begin(bool head_request);
    void feed(std::string_view bytes) { text_ += bytes; }
    // Reads on; true: the answer is complete, and what follows it stays for the next one.
    bool read();
    // A broken chunk may come: nothing is read behind it, and the answer never completes.
    void expect_broken_chunks() { broken_chunks_expected_ = true; }
    // The connection ended: true if that completes the answer.
    bool end() const { return head_done_ && framing_ == Framing::until_close; }

    bool begun() const { return head_done_ || !text_.empty(); }
    bool head_done() const { return head_done_; }
    int status() const { return status_; }
    Framing framing() const { return framing_; }
    // As far as it has come, a chunk that is not whole included.
    std::string body() const { return body_ + partial_; }
    std::string field(const std::string& lower_name) const;
    bool closes() const { return field("connection") == "close"; }
    bool nothing_left() const { return text_.empty(); }
    const std::string& left() const { return text_; }

private:
    bool read_head();
    void read_field(std::string_view line);
    bool read_length();
    bool read_chunks();

    std::string text_;  // not read yet
    bool head_request_ = false;
    bool head_done_ = false;
    int status_ = 0;
    Framing framing_ = Framing::none;
    std::map<std::string, std::string> fields_;
    std::size_t length_ = 0;
    std::string body_;
    bool broken_chunks_expected_ = false;
    bool broken_ = false;
    std::string partial_;  // of the chunk that is coming
};

}  // namespace sluice::sim
