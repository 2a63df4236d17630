#include "tools/serve/grpc/tls.h"

#include <fmt/format.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "sluice/error.h"

namespace sluice::serve::rpc {
namespace {

constexpr unsigned kBetweenLooksSeconds = 1;

// gRPC says nothing of files that do not load until a client comes.
void CheckFiles(const TlsOptions& options) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr) throw Error(ErrorCode::kOutOfMemory, "TLS: no memory for its settings");
  const auto expect = [](int result, const std::string& path, const char* what) {
    if (result == 1) return;
    const char* reason = ERR_reason_error_string(ERR_get_error());
    ERR_clear_error();
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}: {}", path, what, reason != nullptr ? reason : "cannot be read"));
  };
  if (options.key.empty())
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: its key is needed too", options.certificate));
  expect(SSL_CTX_use_certificate_chain_file(context.get(), options.certificate.c_str()), options.certificate,
         "not a chain of certificates");
  expect(SSL_CTX_use_PrivateKey_file(context.get(), options.key.c_str(), SSL_FILETYPE_PEM), options.key,
         "not the key of the certificate");
  if (!options.client_ca.empty())
    expect(SSL_CTX_load_verify_locations(context.get(), options.client_ca.c_str(), nullptr),
           options.client_ca, "not certificates of an authority");
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> NewCredentials(const TlsOptions& options) {
  if (options.certificate.empty()) return grpc::InsecureServerCredentials();
  CheckFiles(options);
  grpc::experimental::TlsServerCredentialsOptions tls(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          options.key, options.certificate, options.client_ca, kBetweenLooksSeconds));
  tls.watch_identity_key_cert_pairs();
  if (!options.client_ca.empty()) {
    tls.watch_root_certs();
    tls.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(tls);
}

}  // namespace sluice::serve::rpc
