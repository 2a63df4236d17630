#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace sluice::serve {

// A key and a certificate for it, good for an hour, signed by an authority or by itself.
class Certificate {
 public:
  explicit Certificate(const std::string& name, const Certificate* authority = nullptr)
      : key_(EVP_EC_gen("P-256"), EVP_PKEY_free), x509_(X509_new(), X509_free) {
    X509* x509 = x509_.get();
    static long serial = 1;
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key_.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    const Certificate& issuer = authority != nullptr ? *authority : *this;
    X509_set_issuer_name(x509, X509_get_subject_name(issuer.x509_.get()));
    Extend(NID_basic_constraints, authority == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
    Extend(NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    if (X509_sign(x509, issuer.key_.get(), EVP_sha256()) == 0) throw std::runtime_error("cannot sign");
  }

  // PEM files.
  void WriteCertificate(const std::string& path) const {
    Write(path, [&](FILE* file) { return PEM_write_X509(file, x509_.get()); });
  }
  void WriteKey(const std::string& path) const {
    Write(path, [&](FILE* file) {
      return PEM_write_PrivateKey(file, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

 private:
  void Extend(int kind, const char* value) {
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, kind, value), X509_EXTENSION_free);
    X509_add_ext(x509_.get(), extension.get(), -1);
  }
  template <typename Fill>
  static void Write(const std::string& path, const Fill& fill) {
    const std::unique_ptr<FILE, decltype(&fclose)> file(fopen(path.c_str(), "w"), fclose);
    if (!file || fill(file.get()) != 1) throw std::runtime_error("cannot write " + path);
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> x509_;
};

}  // namespace sluice::serve
