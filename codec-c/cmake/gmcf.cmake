# Builds libgmcf.a with cargo and gives it to a CMake project as the target `gmcf`, with its header:
#
#     include(path/to/codec-c/cmake/gmcf.cmake)
#     gmcf_add_library(TARGET thumbv7em-none-eabihf PROFILES small)
#     target_link_libraries(app PRIVATE gmcf)
#
# TARGET is what the Rust compiler calls the processor (`rustup target list`); without it the library is for this
# computer. PROFILES are tiny, small, medium: each is compiled in and takes its own flash.
#
# With UPDATE the library has the device's side of updates, too (gmcf_boot, gmcf_updater_*, gmcf_link_*), for a flash that
# writes WRITE_SIZE bytes at once (4 when left out) and erases ERASE_SIZE (4096):
#
#     gmcf_add_library(TARGET thumbv7em-none-eabihf PROFILES small UPDATE WRITE_SIZE 8 ERASE_SIZE 2048)
#
# GMCF_CARGO names another cargo, GMCF_CARGO_TOOLCHAIN a toolchain of rustup (such as `esp`), GMCF_CARGO_FLAGS more
# arguments (such as `-Zbuild-std=core`): a list.

set(GMCF_CARGO "cargo" CACHE STRING "Command that builds libgmcf.a")
set(GMCF_CARGO_TOOLCHAIN "" CACHE STRING "Toolchain of rustup, where it is not the default one")
set(GMCF_CARGO_FLAGS "" CACHE STRING "More arguments for cargo build")

get_filename_component(GMCF_ROOT "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)

function(gmcf_add_library)
  cmake_parse_arguments(ARG "UPDATE" "TARGET;WRITE_SIZE;ERASE_SIZE" "PROFILES" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_PROFILES)
    message(FATAL_ERROR "gmcf_add_library([TARGET triple] PROFILES tiny|small|medium... "
                        "[UPDATE [WRITE_SIZE n] [ERASE_SIZE n]]), not: ${ARGN}")
  endif()
  if((ARG_WRITE_SIZE OR ARG_ERASE_SIZE) AND NOT ARG_UPDATE)
    message(FATAL_ERROR "gmcf: WRITE_SIZE and ERASE_SIZE are of use with UPDATE only")
  endif()
  foreach(profile IN LISTS ARG_PROFILES)
    if(NOT profile MATCHES "^(tiny|small|medium)$")
      message(FATAL_ERROR "gmcf: no profile `${profile}`; there are tiny, small and medium")
    endif()
  endforeach()
  string(REPLACE ";" "," features "${ARG_PROFILES}")
  set(sizes)
  if(ARG_UPDATE)
    string(APPEND features ",update")
    # What is not said must not come from the environment either.
    foreach(name WRITE_SIZE ERASE_SIZE)
      if(ARG_${name})
        list(APPEND sizes "GMCF_${name}=${ARG_${name}}")
      else()
        list(APPEND sizes "--unset=GMCF_${name}")
      endif()
    endforeach()
  endif()

  set(out "${CMAKE_CURRENT_BINARY_DIR}/gmcf")
  set(toolchain)
  if(GMCF_CARGO_TOOLCHAIN)
    set(toolchain "+${GMCF_CARGO_TOOLCHAIN}")
  endif()
  set(target)
  set(folder "${out}/release")
  if(ARG_TARGET)
    set(target --target "${ARG_TARGET}")
    set(folder "${out}/${ARG_TARGET}/release")
  endif()

  # Cargo knows what has changed, so it is asked each time.
  add_custom_target(gmcf_cargo
    COMMAND ${CMAKE_COMMAND} -E env ${sizes}
            ${GMCF_CARGO} ${toolchain} build --release --locked --manifest-path "${GMCF_ROOT}/Cargo.toml"
            --no-default-features --features "${features}" --target-dir "${out}" ${target} ${GMCF_CARGO_FLAGS}
    BYPRODUCTS "${folder}/libgmcf.a"
    COMMENT "Building libgmcf.a (${features}) with cargo"
    USES_TERMINAL
    VERBATIM)

  add_library(gmcf STATIC IMPORTED GLOBAL)
  set_target_properties(gmcf PROPERTIES
    IMPORTED_LOCATION "${folder}/libgmcf.a"
    INTERFACE_INCLUDE_DIRECTORIES "${GMCF_ROOT}/include")
  add_dependencies(gmcf gmcf_cargo)
endfunction()
