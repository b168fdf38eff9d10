/* vrcnn-int in HM: the filter library on HM's pictures, and what the decoder does with it.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_HM_FILTER_H
#define VRCNN_HM_FILTER_H

#include <string>
#include <vector>

#include "CommonDef.h"
#include "VrcnnHm.h"
#include "vrcnn/vrcnn.h"

#if RExt__HIGH_BIT_DEPTH_SUPPORT
#error "vrcnn-int needs 16-bit samples: build HM without high bit depth support"
#endif

class TComPic;
class TComPicYuv;

/* Prints one line on the standard error and ends the program: the reconstruction would be wrong from here on. */
void vrcnnHmFail(const char *format, ...);

/* A luma plane of its own. */
struct VrcnnHmLuma {
    std::vector<Pel> samples;
    int width, height;

    VrcnnHmLuma() : width(0), height(0)
    {
    }
    void copy(const TComPicYuv &picture);
    VrcnnConstPlane constPlane(int bitDepth) const;
};

/* What the options say, for the library: kernels and threads, and the file of the model set, empty if that is built in. */
VrcnnSettings vrcnnHmSettings(const VrcnnHmOptions &options);
std::vector<char> vrcnnHmModelFile(const VrcnnHmOptions &options);

/* Ends the program, after a line that names the option, if opening with these options has failed. */
void vrcnnHmCheckOpened(VrcnnError error, const VrcnnHmOptions &options);

/* HM's luma plane as the library's, and the same for reading. */
VrcnnPlane vrcnnHmPlane(TComPicYuv &picture, int bitDepth);
VrcnnConstPlane vrcnnHmReading(const VrcnnPlane &plane);

/* For each 8x8 block in raster scan whether it keeps its samples: lossless, or PCM with its loop filter disabled. False if none can. */
bool vrcnnHmKept(TComPic &picture, std::vector<uint8_t> &kept);

/* Seconds since some fixed point. */
double vrcnnHmSeconds();

class VrcnnHmDecoder
{
  public:
    VrcnnHmDecoder();
    ~VrcnnHmDecoder();

    /* Checks the options; call it once they are known. */
    void init();
    /* Reads the side information of the picture when its first slice segment begins. */
    void beforeSlice(TComPic *picture);
    /* Keeps the samples that the network wants. */
    void beforeDeblocking(TComPic *picture);
    /* Filters. */
    void afterSao(TComPic *picture);

  private:
    VrcnnReceiver *m_receiver;
    VrcnnSideinfo m_info;
    std::vector<uint8_t> m_kept;
    VrcnnHmLuma m_source;
    int m_pictures;
    double m_seconds;

    VrcnnHmDecoder(const VrcnnHmDecoder &);
    VrcnnHmDecoder &operator=(const VrcnnHmDecoder &);
    void fail(VrcnnError error, int poc) const;
};

#endif
