// Flights: which answers are under way or kept, and who listens to them; of one shard.
//
// Each key has a home, the shard that its digest names: there stands whether a flight is under way
// for it, how many listen to that, and the answer that is kept. A request asks the home and is told
// to lead (it begins a flight on its own shard, and listens to it like everybody else), to join one
// that is under way, or gets an answer. Bytes do not pass the home: whoever listens reads the
// recording (answer/recording.h) that the flight writes, on whatever shard both are.
//
//     message   from            to              what for
//     ask       who wants       home            an answer, or whom to listen to
//     told      home            who asked       that
//     left      a listener      home            one listens no more; nobody does: the flight ends
//     unwanted  home            the flight      nobody listens
//     progress  the flight      who listens     there is more to read
//     shut      the flight      home            it has become too long to be joined
//     over      the flight      home            it has ended; an answer to keep may come with it
//     found     the disk        home            what it has, or that it has nothing
//     purge     who purges      all shards      which answers are to go
//     purged    each of them    who purges      how many have gone
//     cleared   the disk        who asked it    the same, of what is there
//     look      who wants       homes           whether items of a batch are kept
//     seen      a home          who looked      those that are
//     keep      the flight      homes           items to keep
//
// Where the home is this shard nothing is sent, and nothing is waited for but the disk: where there
// is one, the home looks there for what it has not in memory, before it tells anybody to lead. One
// look serves all who ask meanwhile. Who waits too long for it goes on as if nothing were there.
//
// A purge is over when all shards and the disk have said so. From then on no answer is given whose
// request came before the purge and that it would have taken: what is under way meanwhile, of
// whatever model, is not kept, and what the disk has found meanwhile is not believed.
#pragma once

#include "sluice/answer/recording.h"
#include "sluice/base/list.h"
#include "sluice/cache/directives.h"
#include "sluice/cache/store.h"
#include "sluice/io/loop.h"
#include "sluice/proxy/items.h"
#include "sluice/state/answer_disk.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::proxy {

class Flight;

// One flight's name: an equal request in another form is another flight, for its events come as the
// first one asked for them; kept answers serve all forms.
struct FlightKey {
    cache::Key key;
    bool streamed = false;
    bool with_usage = false;

    bool operator==(const FlightKey&) const = default;
};

struct FlightQuestion {
    FlightKey key;
    bool joins = false;  // it may listen to another one's flight, and others to its own
    bool reads = false;  // it may get a kept answer
    cache::Directives directives;
    Duration ttl;
};

struct PurgedAnswers {
    std::uint64_t memory = 0;
    std::uint64_t disk = 0;
};

struct FlightAnswer {
    enum class Kind : std::uint8_t {
        none,     // go by yourself
        lead,     // write this recording
        join,     // listen to it
        hit,      // here it is
        stale,    // here it is, though its time is over
        refused,  // nothing is kept, and only that was asked for
        purged,   // so many have gone
    };
    Kind kind = Kind::none;
    std::shared_ptr<answer::Recording> recording;  // shared by the flight and its listeners
    answer::Recording::Door door;                  // to it
    std::shared_ptr<const cache::Answer> kept;     // shared with the store
    Duration age;
    PurgedAnswers purged;
};

// Who waits for what the home says.
class FlightAsker {
public:
    virtual void told(FlightAnswer&& answer) = 0;

protected:
    ~FlightAsker() = default;
};

struct FlightMessage {
    enum class Kind : std::uint8_t {
        ask,
        told,
        left,
        unwanted,
        progress,
        shut,
        over,
        found,
        purge,
        purged,
        cleared,
        look,
        seen,
        keep
    };
    Kind kind = Kind::ask;
    std::uint16_t from = 0;                        // the shard that sends it
    std::uint64_t ticket = 0;                      // of all that are answered, and their answers
    FlightQuestion question;                       // ask; of `left` and `over` the key
    FlightAnswer answer;                           // told; of `purged` and `cleared` the counts
    std::shared_ptr<answer::Recording> recording;  // of all others: shared with its listeners
    std::shared_ptr<const cache::Answer> kept;     // over: to be kept, shared with who gives it
    state::KeptAnswer on_disk;                     // found
    state::Purge purge;                            // purge
    Instant since;  // over, keep: when it was asked for; purge: when that came
    std::unique_ptr<ItemsMessage> items;  // look, seen, keep
};

class Flights {
public:
    // Takes messages to other shards.
    class Peers {
    public:
        virtual void send(std::uint16_t shard, std::unique_ptr<FlightMessage> message) = 0;

    protected:
        ~Peers() = default;
    };

    // Who listens to a recording, on this shard.
    class Listener {
    public:
        virtual void hear() = 0;  // there is more, or it has ended

        ListHook listener_hook;

    protected:
        ~Listener() = default;
    };

    Flights(io::Loop& loop, std::uint64_t seed);
    ~Flights();

    // There are other shards.
    void join(std::uint16_t shard, std::uint16_t shards, Peers& peers);
    // Answers are kept, in so many bytes of this shard.
    void keep_answers(std::uint64_t bytes);
    // And on that disk, too, which outlives this. What it finds comes as a message.
    void keep_on_disk(state::AnswerDisk::Channel& disk) { disk_ = &disk; }

    // --- a request ---
    // Nothing: `asker` is told later, under the number that comes back in `ticket`.
    std::optional<FlightAnswer> ask(const FlightQuestion& question, FlightAsker& asker,
                                    std::uint64_t& ticket);
    // It does not wait any more; whatever it is told is given back.
    void forget(std::uint64_t ticket);
    void listen(Listener& listener, const std::shared_ptr<answer::Recording>& recording);
    // `key`: of the flight that it listened to.
    void leave(Listener& listener, const FlightKey& key,
               const std::shared_ptr<answer::Recording>& recording);
    // What it was told is of no use to it: it leads no flight, and listens to none.
    void give_back(const FlightKey& key, FlightAnswer&& answer);

    // --- items of batches (flights_items.cc) ---
    // What is kept of each. Nothing: `asker` gets to see it later.
    std::optional<std::vector<cache::Found>> look(const std::vector<cache::Key>& keys,
                                                  const cache::Directives& directives,
                                                  ItemsAsker& asker, std::uint64_t& ticket);
    // It does not wait any more.
    void forget_look(std::uint64_t ticket);
    void keep(std::vector<cache::EmbeddingBatch::Fresh>&& items, Duration ttl, Instant since);

    // --- a flight ---
    void begun(Flight& flight);
    void progress(const std::shared_ptr<answer::Recording>& recording);
    // Nobody may join it any more.
    void shut(const FlightKey& key, const std::shared_ptr<answer::Recording>& recording);
    void over(Flight& flight, const FlightKey& key,
              const std::shared_ptr<answer::Recording>& recording,
              std::shared_ptr<const cache::Answer> kept, Duration ttl, Instant since);

    // --- answers that are to go, from all shards and the disk ---
    // `asker` is told how many went, under the number that is in `ticket` by then.
    void purge(const state::Purge& what, FlightAsker& asker, std::uint64_t& ticket);

    // --- other shards ---
    void receive(FlightMessage&& message);

    // Ends those that are under way here.
    void cut_off();
    // This shard has ended: what is still said to it has no use any more.
    void close() { closed_ = true; }
    std::size_t under_way() const { return flights_.size(); }
    // Looks on the disk, and purges of it, that have not come back: this shard has to be there.
    std::size_t on_disk() const { return looks_.size() + clearings_.size(); }
    // At this home: those that one may listen to.
    std::size_t known() const { return homes_.size(); }
    // Null: no answers are kept.
    const cache::Store* store() const { return store_.get(); }
    cache::Store* store() { return store_.get(); }

private:
    struct KeyHash {
        std::uint64_t seed;
        std::size_t operator()(const FlightKey& key) const;
    };
    struct Home {
        std::shared_ptr<answer::Recording> recording;  // shared by all who listen
        answer::Recording::Door door;
        std::uint16_t shard = 0;  // that it flies on
        std::uint32_t listeners = 0;
    };
    struct Asked {
        FlightAsker* asker;  // null: it waits no more
        FlightKey key;
    };
    // On the disk, and who waits for what comes of it.
    struct Look {
        struct Waiter {
            FlightQuestion question;
            std::uint16_t from;
            std::uint64_t ticket;
        };
        std::uint64_t number;
        cache::Key key;
        Duration ttl;
        Instant since;
        bool given_up = false;  // nobody waits for it any more
        bool outdated = false;  // a purge came behind it
        std::vector<Waiter> waiters;
    };
    // That this shard asks for.
    struct Purging {
        std::uint64_t ticket;
        std::size_t awaited;  // shards
        PurgedAnswers gone;
    };
    // Of the disk, for a purge.
    struct Clearing {
        std::uint64_t number;
        std::uint16_t from;
        std::uint64_t ticket;
        state::Purge what;
        PurgedAnswers gone;
        bool asked = false;  // the channel took it
    };
    using Listeners = List<Listener, &Listener::listener_hook>;

    std::uint16_t home_of(const cache::Key& key) const;
    std::uint16_t home_of(const FlightKey& key) const { return home_of(key.key); }
    void send_items(std::uint16_t shard, FlightMessage::Kind kind, std::uint64_t ticket,
                    std::unique_ptr<ItemsMessage> items);
    cache::Found find_item(const cache::Key& key, const cache::Directives& directives);
    void keep_here(std::vector<cache::EmbeddingBatch::Fresh>&& items, Duration ttl, Instant since);
    void look_for(FlightMessage&& message);
    void seen(FlightMessage&& message);
    FlightAnswer decide(const FlightQuestion& question, std::uint16_t from);
    std::optional<FlightAnswer> look_up(const FlightQuestion& question);
    void left(const FlightKey& key, const std::shared_ptr<answer::Recording>& recording);
    void ended(const FlightKey& key, const std::shared_ptr<answer::Recording>& recording,
               std::shared_ptr<const cache::Answer> kept, Duration ttl, Instant since);
    void told(std::uint64_t ticket, FlightAnswer&& answer);
    void tell(std::uint16_t shard, std::uint64_t ticket, FlightAnswer&& answer);
    bool ask_disk(const FlightQuestion& question, std::uint16_t from, std::uint64_t ticket);
    void found(std::uint64_t number, state::KeptAnswer&& kept);
    void give_up_looks();
    void purge_here(const state::Purge& what, Instant since, std::uint16_t from,
                    std::uint64_t ticket);
    void ask_to_clear();
    void cleared(std::uint64_t number, std::uint64_t gone);
    void tell_purged(std::uint16_t shard, std::uint64_t ticket, const PurgedAnswers& gone);
    void purged(std::uint64_t ticket, const PurgedAnswers& gone);
    void tell_waiters(std::vector<Look::Waiter>&& waiters);
    void unwanted(const answer::Recording& recording);
    void wake(const answer::Recording& recording);
    void send(std::uint16_t shard, FlightMessage::Kind kind, const FlightKey& key,
              std::shared_ptr<answer::Recording> recording);

    io::Loop& loop_;
    std::uint64_t seed_;
    Peers* peers_ = nullptr;  // null: there is one shard
    std::uint16_t shard_ = 0;
    std::uint16_t shards_ = 1;
    std::unique_ptr<cache::Store> store_;
    std::unordered_map<FlightKey, Home, KeyHash> homes_{16, KeyHash{seed_}};
    std::unordered_map<const answer::Recording*, Flight*> flights_;  // on this shard
    std::unordered_map<const answer::Recording*, Listeners> listeners_;
    std::unordered_map<std::uint64_t, Asked> asked_;
    std::unordered_map<std::uint64_t, ItemsLook> items_looks_;
    std::uint64_t last_ticket_ = 0;
    state::AnswerDisk::Channel* disk_ = nullptr;  // null: there is none
    std::deque<Look> looks_;                      // the oldest first; at most a channel's jobs
    std::uint64_t last_look_ = 0;
    io::Timer patience_;  // armed while somebody waits for the disk
    std::vector<Purging> purgings_;
    std::vector<Clearing> clearings_;
    std::uint64_t last_clearing_ = 0;
    io::Timer clear_again_;  // armed while the disk's channel has no room for a purge
    Instant purged_at_;      // what was asked for before that is not kept
    bool closed_ = false;
};

}  // namespace sluice::proxy
