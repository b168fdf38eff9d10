# As an overlay port (vcpkg install vrcnn --overlay-ports=packaging/vcpkg) it builds this source tree; a registry's has vcpkg_from_github here.
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)
vcpkg_cmake_get_vars(compiler)
include("${compiler}")

vcpkg_execute_required_process(
    COMMAND make -C "${SOURCE_PATH}/c" -j "${VCPKG_CONCURRENCY}" install
        "CC=${VCPKG_DETECTED_CMAKE_C_COMPILER}"
        "BUILD=${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}"
        "PREFIX=${CURRENT_PACKAGES_DIR}"
    WORKING_DIRECTORY "${CURRENT_BUILDTREES_DIR}"
    LOGNAME "install-${TARGET_TRIPLET}"
)

if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
    file(GLOB shared "${CURRENT_PACKAGES_DIR}/lib/libvrcnn*.so*" "${CURRENT_PACKAGES_DIR}/lib/libvrcnn*.dylib")
    file(REMOVE ${shared})
    file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib/cmake") # it names the shared library
else()
    vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/vrcnn)
endif()
vcpkg_copy_tools(TOOL_NAMES vrcnn_filter AUTO_CLEAN)
vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
