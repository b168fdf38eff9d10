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
class TComSPS;

/* Prints one line on the standard error and ends the program: the reconstruction would be wrong from here on. */
void vrcnnHmFail(const char *format, ...);

/* HM's planes as the library's. With chroma: Cb and Cr too if they are 4:2:0 of 8 to 10 bits; what is not there has no data. */
struct VrcnnHmPlanes {
    VrcnnPlane plane[3];

    VrcnnHmPlanes();
    VrcnnHmPlanes(TComPicYuv &picture, const TComSPS &sps, bool withChroma);
    /* The same for reading. */
    void read(VrcnnConstPlane reading[3]) const;
};

/* Planes of its own. */
class VrcnnHmCopy
{
  public:
    void copy(const VrcnnHmPlanes &planes);
    void read(VrcnnConstPlane reading[3]) const
    {
        m_planes.read(reading);
    }

  private:
    std::vector<Pel> m_samples[3];
    VrcnnHmPlanes m_planes;
};

/* What the options say, for the library: kernels and threads, and the file of the model set, empty for the default one. */
VrcnnSettings vrcnnHmSettings(const VrcnnHmOptions &options);
std::vector<char> vrcnnHmModelFile(const VrcnnHmOptions &options);

/* Ends the program, after a line that names the option, if opening with these options has failed. */
void vrcnnHmCheckOpened(VrcnnError error, const VrcnnHmOptions &options);

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
    /* Keeps the samples that the networks want. */
    void beforeDeblocking(TComPic *picture);
    /* Filters. */
    void afterSao(TComPic *picture);

  private:
    VrcnnReceiver *m_receiver;
    VrcnnPlaneSideinfo m_info;
    std::vector<uint8_t> m_kept;
    VrcnnHmCopy m_source;
    int m_pictures;
    double m_seconds;

    VrcnnHmDecoder(const VrcnnHmDecoder &);
    VrcnnHmDecoder &operator=(const VrcnnHmDecoder &);
    bool filters() const
    {
        return m_info.luma_mode != VRCNN_MODE_OFF || m_info.chroma_mode != VRCNN_MODE_OFF;
    }
    VrcnnHmPlanes planes(TComPic &picture) const;
    void fail(VrcnnError error, int poc) const;
};

#endif
