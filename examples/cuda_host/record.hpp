/* The launch list of a generated CUDA source, read from the manifest of its bundle. */
#pragma once

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/* A JSON value; manifests hold objects, arrays, numbers, texts, true, false and null. */
struct Json {
    std::string text; /* of a text, a number, true, false, null */
    std::vector<Json> items;
    std::map<std::string, Json> fields;

    const Json &operator[](const std::string &key) const
    {
        const auto found = fields.find(key);
        if (found == fields.end())
            throw std::runtime_error("manifest: no key \"" + key + "\"");
        return found->second;
    }
    double number() const { return std::strtod(text.c_str(), nullptr); }
    int64_t integer() const { return std::strtoll(text.c_str(), nullptr, 10); }
};

class JsonReader {
public:
    explicit JsonReader(const std::string &source) : source_(source) {}

    Json value()
    {
        Json out;
        const char first = next();
        if (first == '{') {
            for (char c = next(); c != '}'; c = next()) {
                if (c == ',')
                    continue;
                at_--;
                const std::string key = value().text;
                expect(':');
                out.fields[key] = value();
            }
        } else if (first == '[') {
            for (char c = next(); c != ']'; c = next()) {
                if (c == ',')
                    continue;
                at_--;
                out.items.push_back(value());
            }
        } else if (first == '"') {
            while (peek() != '"') {
                at_ += peek() == '\\'; /* names and paths need no other escapes */
                out.text += peek();
                at_++;
            }
            at_++;
        } else {
            at_--;
            while (at_ < source_.size() && (std::isalnum((unsigned char)peek()) || std::string("+-.").find(peek()) < 3))
                out.text += source_[at_++];
            if (out.text.empty())
                throw std::runtime_error("manifest: this is not JSON");
        }
        return out;
    }

private:
    char peek() const
    {
        if (at_ >= source_.size())
            throw std::runtime_error("manifest: it ends too early");
        return source_[at_];
    }
    char next()
    {
        while (std::isspace((unsigned char)peek()))
            at_++;
        return source_[at_++];
    }
    void expect(char wanted)
    {
        if (next() != wanted)
            throw std::runtime_error("manifest: this is not JSON");
    }
    const std::string &source_;
    size_t at_ = 0;
};

/* A work array; sizes are numbers or names such as n_atoms. */
struct Buffer {
    std::string name, ctype;
    std::vector<std::string> shape;
};

/* One kernel launch: ceil(count / per_block) blocks of `block` threads. */
struct Launch {
    std::string kernel, count;
    int64_t per_block, block, shared;
    std::vector<std::string> arguments;
};

/* What a bundle says of its CUDA source. */
struct Record {
    std::vector<std::string> species;
    double cutoff; /* angstrom */
    std::string real;
    std::vector<Buffer> buffers;
    std::vector<Launch> launches; /* those of energies and their derivatives */
};

inline Record read_record(const std::string &path)
{
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    if (!file)
        throw std::runtime_error(path + ": cannot be read");
    const std::string source = text.str();
    const Json manifest = JsonReader(source).value(), &cuda = manifest["cuda"];
    if (cuda["format"].integer() != 1)
        throw std::runtime_error(path + ": launch list of another format than 1");
    Record out{{}, manifest["cutoff"].number(), cuda["real"].text, {}, {}};
    for (const Json &symbol : manifest["species"].items)
        out.species.push_back(symbol.text);
    for (const Json &b : cuda["buffers"].items) {
        Buffer buffer{b["name"].text, b["ctype"].text, {}};
        for (const Json &size : b["shape"].items)
            buffer.shape.push_back(size.text);
        out.buffers.push_back(buffer);
    }
    for (const Json &l : cuda["launches"].items) {
        if (l["needed_for"].text == "basis")
            continue;
        Launch launch{l["kernel"].text, l["count"].text, l["per_block"].integer(), l["block"].integer(),
                      l["shared"].integer(), {}};
        for (const Json &name : l["arguments"].items)
            launch.arguments.push_back(name.text);
        out.launches.push_back(launch);
    }
    return out;
}
