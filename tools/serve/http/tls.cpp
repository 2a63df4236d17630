#include "tools/serve/http/tls.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <string_view>

#include "sluice/error.h"
#include "tools/serve/log.h"

namespace sluice::serve {
namespace {

namespace ssl = boost::asio::ssl;

constexpr auto kBetweenLooks = std::chrono::seconds(1);

std::string StateOf(const TlsOptions& options) {
  std::string state;
  for (const std::string& path : {options.certificate, options.key, options.client_ca}) {
    struct stat info;
    if (!path.empty() && stat(path.c_str(), &info) == 0)
      state +=
          fmt::format("{}.{}.{}.{} ", info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size, info.st_ino);
    else
      state += "- ";
  }
  return state;
}

// HTTP/1.1 or nothing.
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered,
                   unsigned offered_bytes, void*) {
  static constexpr unsigned char kOurs[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, length, kOurs, sizeof kOurs, offered, offered_bytes) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

std::shared_ptr<ssl::context> Load(const TlsOptions& options) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  const auto load = [](const std::string& path, const char* what, auto&& use) {
    boost::system::error_code error;
    use(error);
    if (error)
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}: {}", path, what, error.message()));
  };
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                  SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20");  // of TLS 1.2; 1.3 has its own
  SSL_CTX_set_alpn_select_cb(native, ChooseProtocol, nullptr);
  static constexpr unsigned char kSessions[] = "sluice";
  SSL_CTX_set_session_id_context(native, kSessions, sizeof kSessions - 1);
  load(options.certificate, "not a chain of certificates",
       [&](auto& error) { context->use_certificate_chain_file(options.certificate, error); });
  load(options.key, "not the key of the certificate",
       [&](auto& error) { context->use_private_key_file(options.key, ssl::context::pem, error); });
  if (!options.client_ca.empty()) {
    load(options.client_ca, "not certificates of an authority",
         [&](auto& error) { context->load_verify_file(options.client_ca, error); });
    context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
    if (STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca.c_str()))
      SSL_CTX_set_client_CA_list(native, names);
  }
  return context;
}

}  // namespace

TlsContexts::TlsContexts(const TlsOptions& options) : options_(options) {
  if (options.key.empty())
    throw Error(ErrorCode::kInvalidArgument, options.certificate + ": its key is needed too");
  state_ = StateOf(options_);
  current_ = Load(options_);
  looked_ = Clock::now();
}

std::shared_ptr<ssl::context> TlsContexts::Current() {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (now - looked_ < kBetweenLooks) return current_;
  looked_ = now;
  std::string state = StateOf(options_);
  if (state == state_) return current_;
  state_ = std::move(state);
  try {
    current_ = Load(options_);
    Log(LogLevel::kInfo, "TLS certificate read again");
  } catch (const Error& error) {
    Log(LogLevel::kError, "TLS stays as it was", {{"why", error.what()}});
  }
  return current_;
}

std::string ClientNameOf(SSL* ssl) {
  X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return "";
  char name[256] = {};
  const int length =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  return length > 0 ? std::string(name, static_cast<size_t>(length)) : "";
}

}  // namespace sluice::serve
