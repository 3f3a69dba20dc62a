# Sound from and to devices, for `timbre denoise --live`.
pkg_check_modules(PORTAUDIO REQUIRED IMPORTED_TARGET portaudio-2.0)
cmake_language(DEFER CALL target_link_libraries timbre_cli PRIVATE PkgConfig::PORTAUDIO)
