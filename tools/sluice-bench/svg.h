// Svg: pieces of a drawing as text; colours and sizes of letters come from the page's style.
#pragma once

#include "text.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::bench {

// Text as it may stand in HTML and in attributes.
inline std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : valid_text(text))
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += c;
        }
    return out;
}

class Svg {
public:
    // `label` says what the drawing shows to those who do not see it.
    Svg(double width, double height, std::string_view label)
        : text_(fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n",
                            width, height, escaped(label))) {}

    void line(double x1, double y1, double x2, double y2, std::string_view style) {
        text_ += fmt::format(
            "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1,
            y1, x2, y2, style);
    }
    void write(double x, double y, std::string_view text, std::string_view style) {
        text_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>\n", x, y,
                             style, escaped(text));
    }
    // `hint` is shown under the pointer.
    void dot(double x, double y, double radius, std::string_view style, std::string_view hint) {
        text_ += fmt::format(
            "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\" class=\"{}\"><title>{}</title>"
            "</circle>\n",
            x, y, radius, style, escaped(hint));
    }
    void curve(const std::vector<std::pair<double, double>>& points, std::string_view style,
               std::string_view hint) {
        std::string path;
        for (const auto& [x, y] : points)
            path += fmt::format("{:.1f},{:.1f} ", x, y);
        text_ += fmt::format("<polyline points=\"{}\" class=\"{}\"><title>{}</title></polyline>\n",
                             path, style, escaped(hint));
    }

    std::string done() && { return std::move(text_) + "</svg>\n"; }

private:
    std::string text_;
};

}  // namespace sluice::bench
