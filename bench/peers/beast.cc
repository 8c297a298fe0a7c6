// bench/peers/beast.cc - Boost.Beast as a server for `make bench-net`; what all of these do: bench/README.md.
//
// One thread, asynchronous, one flat buffer a connection: read a message, write it, read the next, as in Beast's own examples.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <string>

namespace beast = boost::beast;
namespace http = beast::http;
namespace net = boost::asio;
namespace websocket = beast::websocket;
using tcp = net::ip::tcp;

namespace {

bool deflate;

class session;
std::set<session *> subscribers;

using socket_type = net::basic_stream_socket<tcp, net::io_context::executor_type>;

class session : public std::enable_shared_from_this<session> {
public:
    explicit session(socket_type &&socket) : ws_(std::move(socket)) {}
    ~session() { subscribers.erase(this); }

    void start()
    {
        http::async_read(ws_.next_layer(), request_buffer_, request_,
                         [self = shared_from_this()](beast::error_code error, std::size_t) {
                             if (!error)
                                 self->accept();
                         });
    }

    void publish(std::shared_ptr<std::string> message)
    {
        queue_.push_back(std::move(message));
        if (queue_.size() == 1)
            write_queued();
    }

private:
    void accept()
    {
        websocket::permessage_deflate options;

        options.server_enable = deflate;
        options.compLevel = 1;
        options.server_no_context_takeover = true;
        options.client_no_context_takeover = true;
        ws_.set_option(options);
        ws_.read_message_max(16 << 20);
        ws_.auto_fragment(false); // by default frames of 4 KiB, which would be a handicap of ours
        publishes_ = request_.target() == "/pub";
        subscribes_ = request_.target() == "/sub";
        ws_.async_accept(request_, [self = shared_from_this()](beast::error_code error) {
            if (error)
                return;
            self->request_ = {};
            if (self->subscribes_)
                subscribers.insert(self.get());
            self->read();
        });
    }

    void read()
    {
        ws_.async_read(buffer_, [self = shared_from_this()](beast::error_code error, std::size_t) {
            if (error)
                return;
            if (self->publishes_)
                self->publish_all();
            else
                self->echo();
        });
    }

    void echo()
    {
        ws_.text(ws_.got_text());
        ws_.async_write(buffer_.data(), [self = shared_from_this()](beast::error_code error, std::size_t) {
            if (error)
                return;
            self->buffer_.consume(self->buffer_.size());
            self->read();
        });
    }

    void publish_all()
    {
        auto message = std::make_shared<std::string>(beast::buffers_to_string(buffer_.data()));

        buffer_.consume(buffer_.size());
        for (session *subscriber : subscribers)
            subscriber->publish(message);
        read();
    }

    void write_queued()
    {
        ws_.binary(true);
        ws_.async_write(net::buffer(*queue_.front()), [self = shared_from_this()](beast::error_code error, std::size_t) {
            if (error)
                return;
            self->queue_.pop_front();
            if (!self->queue_.empty())
                self->write_queued();
        });
    }

    websocket::stream<socket_type> ws_;
    beast::flat_buffer buffer_, request_buffer_;
    http::request<http::string_body> request_;
    std::deque<std::shared_ptr<std::string>> queue_;
    bool publishes_ = false, subscribes_ = false;
};

using acceptor_type = net::basic_socket_acceptor<tcp, net::io_context::executor_type>;

void accept_next(acceptor_type &acceptor)
{
    acceptor.async_accept([&acceptor](beast::error_code error, socket_type socket) {
        if (!error) {
            socket.set_option(tcp::no_delay(true));
            std::make_shared<session>(std::move(socket))->start();
        }
        accept_next(acceptor);
    });
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    deflate = argc > 2 && std::strcmp(argv[2], "--deflate") == 0;
    net::io_context io(1); // one thread: no locks
    acceptor_type acceptor(io, tcp::endpoint(net::ip::address_v4::loopback(), static_cast<unsigned short>(std::atoi(argv[1]))));

    acceptor.listen(4096);
    accept_next(acceptor);
    std::printf("listening on ws://127.0.0.1:%s\n", argv[1]);
    std::fflush(stdout);
    io.run();
}
