// bench/peers/websocketpp.cc - websocketpp as a server for `make bench-net`; what all of these do: bench/README.md.
//
// One thread, its own Asio transport, no logging, and none of the locks it takes by default.
#include <websocketpp/concurrency/none.hpp>
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/extensions/permessage_deflate/enabled.hpp>
#include <websocketpp/logger/stub.hpp>
#include <websocketpp/server.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

namespace {

struct config : public websocketpp::config::asio {
    using concurrency_type = websocketpp::concurrency::none;
    using base = websocketpp::config::asio;
    using request_type = base::request_type;
    using response_type = base::response_type;
    using message_type = base::message_type;
    using con_msg_manager_type = base::con_msg_manager_type;
    using endpoint_msg_manager_type = base::endpoint_msg_manager_type;
    using alog_type = websocketpp::log::stub;
    using elog_type = websocketpp::log::stub;
    using rng_type = base::rng_type;

    struct transport_config : public base::transport_config {
        using concurrency_type = config::concurrency_type;
        using alog_type = config::alog_type;
        using elog_type = config::elog_type;
        using request_type = config::request_type;
        using response_type = config::response_type;
        using socket_type = websocketpp::transport::asio::basic_socket::endpoint;
        static bool const enable_multithreading = false;
    };
    using transport_type = websocketpp::transport::asio::endpoint<transport_config>;
    static bool const enable_multithreading = false;
    static const size_t max_message_size = 16 << 20;

    using permessage_deflate_config = base::permessage_deflate_config;
    using permessage_deflate_type = websocketpp::extensions::permessage_deflate::enabled<permessage_deflate_config>;
};

using server = websocketpp::server<config>;
using websocketpp::connection_hdl;

std::set<connection_hdl, std::owner_less<connection_hdl>> subscribers;

} // namespace

int main(int argc, char **argv)
{
    server endpoint;

    if (argc < 2)
        return 2;
    endpoint.init_asio();
    endpoint.set_reuse_addr(true);
    endpoint.set_listen_backlog(4096);
    endpoint.set_tcp_pre_init_handler([&endpoint](connection_hdl connection) {
        websocketpp::lib::asio::error_code ignored;
        endpoint.get_con_from_hdl(connection)->get_raw_socket().set_option(websocketpp::lib::asio::ip::tcp::no_delay(true), ignored);
    });
    endpoint.set_open_handler([&endpoint](connection_hdl connection) {
        if (endpoint.get_con_from_hdl(connection)->get_resource() == "/sub")
            subscribers.insert(connection);
    });
    endpoint.set_close_handler([](connection_hdl connection) { subscribers.erase(connection); });
    endpoint.set_message_handler([&endpoint](connection_hdl connection, server::message_ptr message) {
        websocketpp::lib::error_code ignored;

        if (endpoint.get_con_from_hdl(connection)->get_resource() != "/pub") {
            endpoint.send(connection, message, ignored);
            return;
        }
        for (const connection_hdl &subscriber : subscribers)
            endpoint.send(subscriber, message->get_payload(), message->get_opcode(), ignored);
    });
    endpoint.listen(websocketpp::lib::asio::ip::address_v4::loopback(), static_cast<unsigned short>(std::atoi(argv[1])));
    endpoint.start_accept();
    std::printf("listening on ws://127.0.0.1:%s\n", argv[1]);
    std::fflush(stdout);
    endpoint.run();
}
