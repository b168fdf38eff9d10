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

/* A model set and the library's context for it. Whatever fails ends the program with a line that says why. */
class VrcnnHmFilter
{
  public:
    VrcnnHmFilter();
    ~VrcnnHmFilter();

    /* The set that the options name; if that is builtin, the one for a position. */
    void open(const VrcnnHmOptions &options, VrcnnPosition position);
    /* The set with an identity that begins with these bytes: that of the options, or a built-in one. */
    void openIdentity(const VrcnnHmOptions &options, const uint8_t identity[VRCNN_SIDEINFO_ID_SIZE]);

    const VrcnnModel *model() const
    {
        return m_model;
    }
    const uint8_t *identity() const
    {
        return m_identity;
    }
    VrcnnContext *context() const
    {
        return m_context;
    }
    const char *kernel() const;
    int threads() const;

    void filterPicture(int index, int scale, const VrcnnPlane &dst, const VrcnnConstPlane &src);
    void filterUnits(const VrcnnUnits &units, const VrcnnPlane &dst, const VrcnnConstPlane &src);

  private:
    VrcnnModel *m_model;
    VrcnnContext *m_context;
    uint8_t m_identity[VRCNN_ID_SIZE];

    VrcnnHmFilter(const VrcnnHmFilter &);
    VrcnnHmFilter &operator=(const VrcnnHmFilter &);
    void close();
    void load(const std::string &file);
    void openContext(const VrcnnHmOptions &options);
};

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
    VrcnnHmFilter m_filter;
    bool m_active; /* the last IRAP picture carried our magic */
    VrcnnSideinfo m_info;
    std::vector<uint8_t> m_unit, m_kept;
    VrcnnHmLuma m_source;
    int m_pictures;
    double m_seconds;

    void parse(TComPic &picture);
    void restore(TComPic &picture);
};

#endif
