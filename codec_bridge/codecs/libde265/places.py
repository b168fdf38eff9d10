"""libde265 with the filter: what the adapter changes in its source tree."""

from codec_bridge.codecs.insertion import Codec, Edit, cmake

DECODER, PROGRAM = "libde265", "dec265/dec265.cc"

LIBDE265 = Codec(
    name="libde265",
    version=("CMakeLists.txt", r"^project \(libde265\s+LANGUAGES C CXX\s+VERSION (\S+)"),
    tested=("1.0.11", "1.0.15"),
    package="codec_bridge.codecs.libde265",
    adapter=dict.fromkeys(("vrcnn_de265.h", "vrcnn_filter.h", "vrcnn_filter.cc", "vrcnn_post.h", "vrcnn_post.cc"), DECODER),
    edits=(
        # The bytes of the extension belong to the slice segment header.
        Edit(f"{DECODER}/slice.h", r'^#include "contextmodel\.h"', ('#include "vrcnn_filter.h"',), after=True),
        Edit(
            f"{DECODER}/slice.h",
            r"\bint\s+slice_segment_header_extension_length;",
            ("  vrcnn_extension vrcnn;",),
            "class slice_segment_header",
            after=True,
        ),
        Edit(f"{DECODER}/slice.cc", r"^\s*reset\(\);", ("  vrcnn.clear();",), "slice_segment_header::read", after=True),
        Edit(
            f"{DECODER}/slice.cc",
            r"^\s*get_bits\(br,\s*8\);",
            ("      { bitreader ahead = *br; vrcnn.append(get_bits(&ahead, 8)); }",),
            "slice_segment_header::read",
        ),
        # What is put out in place of a picture that is filtered after decoding.
        Edit(
            f"{DECODER}/image.h",
            r"^\s*std::vector<slice_segment_header\*> slices;",
            ("  std::shared_ptr<de265_image> vrcnn_shown;",),
            "struct de265_image",
            after=True,
        ),
        Edit(
            f"{DECODER}/de265.cc",
            r"^\s*return img;",
            ("    if (img->vrcnn_shown) return img->vrcnn_shown.get();",),
            "de265_peek_next_picture",
        ),
        Edit(
            f"{DECODER}/decctx.cc",
            r"\berr\s*=\s*read_sei_NAL\s*\(",
            ("      if (nal_hdr.nal_unit_type == NAL_UNIT_PREFIX_SEI_NUT) vrcnn.sei(nal->data(), nal->size());",),
            "decoder_context::decode_NAL",
        ),
        # Decoder.
        Edit(f"{DECODER}/decctx.h", r"^\s*public:", ("  vrcnn_decoder vrcnn;",), "class decoder_context", after=True, first=True),
        Edit(f"{DECODER}/decctx.cc", r"^\s*img = NULL;", ("  vrcnn.reset();",), "decoder_context::reset", after=True),
        Edit(
            f"{DECODER}/decctx.cc",
            r"^\s*if \(!continueDecoding\) \{",
            ("    err = vrcnn.lost(nal_hdr.nal_unit_type, err, num_worker_threads);",),
            "decoder_context::read_slice_NAL",
            after=True,
        ),
        Edit(
            f"{DECODER}/decctx.cc",
            r"^\s*if \(img\s*!=\s*NULL\) img->integrity = INTEGRITY_NOT_DECODED;",
            ("      err = vrcnn.lost(nal_hdr.nal_unit_type, err, num_worker_threads);",),
            "decoder_context::read_slice_NAL",
            after=True,
        ),
        Edit(
            f"{DECODER}/decctx.cc",
            r"\badd_slice_segment_header\s*\(\s*shdr\s*\)",
            (
                "  err = vrcnn.slice(*shdr, *img, NoRaslOutputFlag, num_worker_threads);",
                "  if (err != DE265_OK) { nal_parser.free_NAL_unit(nal); return err; }",
            ),
            "decoder_context::read_slice_NAL",
            after=True,
        ),
        # A parameter set that is repeated is compared with the one before it, also in flags that the stream need not have; they were never
        # set. Taken for another one, it would cost the pictures at hand their references.
        Edit(
            f"{DECODER}/vps.cc",
            r"^\s*general\.profile_present_flag\s*=",
            ("  for (profile_data &layer : sub_layer) layer.profile_present_flag = layer.level_present_flag = 0;",),
            "profile_tier_level::read",
        ),
        # A picture is finished when the next one's slice arrives: without this line its errors, wrong hashes among them, are lost.
        Edit(
            f"{DECODER}/decctx.cc",
            r"\berr\s*=\s*decode_some\s*\(",
            ("  if (err == DE265_ERROR_CHECKSUM_MISMATCH || vrcnn_de265_is_error(err)) return err;",),
            "decoder_context::read_slice_NAL",
            after=True,
        ),
        Edit(
            f"{DECODER}/decctx.cc",
            r"^\s*if \(img->decctx->num_worker_threads\)",
            ("    vrcnn.before_deblocking(*imgunit);",),
            "decoder_context::decode_some",
        ),
        Edit(
            f"{DECODER}/decctx.cc",
            r"\bsuffix_SEIs\.size\(\)",
            ("    const de265_error vrcnn_error = vrcnn.after_sao(*imgunit);",),
            "decoder_context::decode_some",
        ),
        Edit(
            f"{DECODER}/decctx.cc",
            r"^\s*pop_front\s*\(\s*image_units\s*\)",
            ("    if (vrcnn_error != DE265_OK) return vrcnn_error;",),
            "decoder_context::decode_some",
            after=True,
        ),
        Edit(
            f"{DECODER}/de265.cc",
            r"^\s*switch \(err\)",
            ("  if (vrcnn_decoder::text(err)) return vrcnn_decoder::text(err);",),
            "de265_get_error_text",
        ),
        Edit(f"{DECODER}/CMakeLists.txt", r"^set\s*\(\s*libde265_sources", ("  vrcnn_filter.cc vrcnn_post.cc",), after=True),
        # The program's options and report.
        Edit(PROGRAM, r'^#include "libde265/quality\.h"', ('#include "libde265/vrcnn_de265.h"',), after=True),
        Edit(
            PROGRAM,
            r"^int disable_sao\b",
            (
                "const char *vrcnn_model=NULL, *vrcnn_kernel=NULL, *vrcnn_dump=NULL;",
                "int vrcnn_threads=0, vrcnn_dump_position=0, vrcnn_dump_motion=0, vrcnn_post_filters=1;",
            ),
            after=True,
        ),
        Edit(
            PROGRAM,
            r'^\s*\{"disable-sao"',
            (
                *(
                    f'  {{"vrcnn-{word}", required_argument, 0, {code} }},'
                    for word, code in (("model", 1001), ("kernel", 1002), ("threads", 1003), ("dump", 1004), ("dump-position", 1005))
                ),
                '  {"vrcnn-no-post-filter", no_argument, 0, 1006 },',
                '  {"vrcnn-dump-motion", no_argument, 0, 1007 },',
            ),
            after=True,
        ),
        Edit(
            PROGRAM,
            r"^\s*case 'v': verbosity",
            (
                "    case 1001: vrcnn_model=optarg; break;",
                "    case 1002: vrcnn_kernel=optarg; break;",
                "    case 1003: vrcnn_threads=atoi(optarg); break;",
                "    case 1004: vrcnn_dump=optarg; break;",
                "    case 1005: vrcnn_dump_position=atoi(optarg); break;",
                "    case 1006: vrcnn_post_filters=0; break;",
                "    case 1007: vrcnn_dump_motion=1; break;",
            ),
            after=True,
        ),
        Edit(
            PROGRAM,
            r'^\s*fprintf\(stderr," +--disable-sao',
            (
                '    fprintf(stderr,"      --vrcnn-model FILE     model set of the CNN filter, if it is not a built-in one\\n");',
                '    fprintf(stderr,"      --vrcnn-kernel NAME    kernels of the CNN filter: auto, scalar, avx2, ... (the same bits)\\n");',
                '    fprintf(stderr,"      --vrcnn-threads N      threads of the CNN filter (0 - as many as worker threads)\\n");',
                '    fprintf(stderr,"      --vrcnn-dump FILE      write what the CNN filter reads of every picture, for training\\n");',
                '    fprintf(stderr,"      --vrcnn-dump-position N  0 (default): before deblocking, 1: after SAO\\n");',
                '    fprintf(stderr,"      --vrcnn-dump-motion    write also what each block was predicted from\\n");',
                '    fprintf(stderr,"      --vrcnn-no-post-filter ignore a filter of decoded pictures that SEI messages name\\n");',
            ),
            after=True,
        ),
        Edit(
            PROGRAM,
            r"^\s*de265_set_limit_TID\s*\(\s*ctx",
            (
                "  vrcnn_de265_post_filters(ctx, vrcnn_post_filters);",
                "  vrcnn_de265_dump_motion(ctx, vrcnn_dump_motion);",
                "  if (((vrcnn_model || vrcnn_kernel || vrcnn_threads) &&",
                "       vrcnn_de265_set(ctx, vrcnn_model, vrcnn_kernel, vrcnn_threads) != DE265_OK) ||",
                "      (vrcnn_dump && vrcnn_de265_dump(ctx, vrcnn_dump, vrcnn_dump_position) != DE265_OK)) {",
                '    fprintf(stderr,"VRCNN: %s\\n", vrcnn_de265_message(ctx));',
                "    exit(10);",
                "  }",
            ),
            after=True,
        ),
        Edit(
            PROGRAM,
            r"^\s*if \(check_hash && err == DE265_ERROR_CHECKSUM_MISMATCH\)",
            (
                "            if (vrcnn_de265_is_error(err)) {",
                '              fprintf(stderr,"VRCNN: %s\\n", vrcnn_de265_message(ctx));',
                "              stop = 1;",
                "            }",
            ),
        ),
        Edit(
            PROGRAM,
            r"^\s*de265_free_decoder\s*\(\s*ctx",
            (
                "  int vrcnn_pictures; double vrcnn_seconds;",
                "  if (const char* vrcnn_used = vrcnn_de265_statistics(ctx, &vrcnn_pictures, &vrcnn_seconds))",
                '    fprintf(stderr,"VRCNN: %d pictures filtered in %.3f s (kernels %s)\\n", vrcnn_pictures, vrcnn_seconds, vrcnn_used);',
            ),
        ),
    ),
    builds=(cmake("CMakeLists.txt", r"^add_subdirectory\s*\(\s*libde265\s*\)"),),
    following="build libde265 with CMake",
    notice="what is built from this source tree is under libde265's licences: the library LGPL-3.0 or later, the programs MIT",
)
"""Changes that the adapter needs."""
