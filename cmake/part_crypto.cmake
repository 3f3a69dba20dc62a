# Digests of downloads.
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
target_link_libraries(timbre PUBLIC OpenSSL::Crypto)
