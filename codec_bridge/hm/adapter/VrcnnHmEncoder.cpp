/* Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#include "VrcnnHmEncoder.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "TEncSbac.h"
#include "TLibCommon/TComBitCounter.h"
#include "TLibCommon/TComPic.h"

static const double TRAINED = VRCNN_SCALE_TRAINED;

VrcnnHmEncoder::VrcnnHmEncoder()
    : m_position(VRCNN_BEFORE_DEBLOCKING), m_bitDepth(8), m_networks(0), m_lambda(0), m_pictures(0), m_filtered(0), m_seconds(0)
{
}

VrcnnHmEncoder::~VrcnnHmEncoder()
{
    if (m_pictures)
        printf("\nVRCNN: %d of %d pictures filtered, %.3f sec. for filter and decisions (kernels %s, %d threads)\n", m_filtered, m_pictures,
               m_seconds, m_filter.kernel(), m_filter.threads());
}

void VrcnnHmEncoder::initPps(TComPPS &pps, const TComSPS &sps)
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    const int bitDepth = sps.getBitDepth(CHANNEL_TYPE_LUMA);
    if (!options.enabled)
        return;
    if (options.position != VRCNN_BEFORE_DEBLOCKING && options.position != VRCNN_AFTER_SAO)
        vrcnnHmFail("--VRCNNPosition=%d: there are 0, before deblocking, and 1, after SAO", options.position);
    if (options.map != 0 && options.map != 1)
        vrcnnHmFail("--VRCNNMap=%d: there are 0, whole pictures, and 1, units", options.map);
    if (bitDepth < 8 || bitDepth > 10)
        vrcnnHmFail("the filter works on 8 to 10 bits of luma, not on %d: change --InternalBitDepth", bitDepth);
    pps.setSliceHeaderExtensionPresentFlag(true);
    VrcnnHmFilter().open(options, (VrcnnPosition)options.position);
}

void VrcnnHmEncoder::writeExtension(TComOutputBitstream &bitstream, const TComSlice &slice)
{
    if (!VrcnnHmOptions::get().enabled)
        return;
    const VrcnnHmExtension &extension = slice.vrcnnExtension;
    const UInt code = (UInt)extension.size() + 1;
    UInt bits = 1;
    while (code >> bits)
        bits++;
    bitstream.write(code, 2 * bits - 1); /* ue(v) */
    for (size_t i = 0; i < extension.size(); i++)
        bitstream.write(extension.data()[i], 8);
}

void VrcnnHmEncoder::beforeDeblocking(TComPic *picture)
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    if (!options.enabled)
        return;
    if (!m_filter.model()) {
        m_position = (VrcnnPosition)options.position;
        m_filter.open(options, m_position);
        printf("VRCNN: model set %02x%02x%02x%02x, %s, kernels %s, %d threads\n", m_filter.identity()[0], m_filter.identity()[1],
               m_filter.identity()[2], m_filter.identity()[3], m_position == VRCNN_AFTER_SAO ? "after SAO" : "before deblocking",
               m_filter.kernel(), m_filter.threads());
    }
    if (m_position == VRCNN_BEFORE_DEBLOCKING)
        m_source.copy(*picture->getPicYuvRec());
}

void VrcnnHmEncoder::afterDeblocking(TComPic *picture)
{
    if (VrcnnHmOptions::get().enabled && m_position == VRCNN_BEFORE_DEBLOCKING)
        m_base.copy(*picture->getPicYuvRec());
}

/* ---- SAO ---- */

/* Luma SAO parameters out of a CTU's; a merged CTU stays merged, for its chroma's sake. */
static void dropLuma(SAOBlkParam &parameters)
{
    if (parameters[COMPONENT_Y].modeIdc == SAO_MODE_NEW)
        parameters[COMPONENT_Y].modeIdc = SAO_MODE_OFF;
}

/* Bits of the SAO parameters of all CTUs, as the arithmetic coder counts them. */
static double saoBits(TComPic &picture, TEncSbac &counter, bool luma)
{
    TComSlice &slice = *picture.getSlice(0);
    const int columns = (int)picture.getFrameWidthInCtus();
    TComBitCounter bits;
    Bool enabled[MAX_NUM_COMPONENT];
    bool any = false;
    for (int component = 0; component < MAX_NUM_COMPONENT; component++) {
        enabled[component] = component < (int)picture.getNumberValidComponents() && (component > 0 || luma) &&
                             slice.getSaoEnabledFlag(toChannelType(ComponentID(component)));
        any |= enabled[component];
    }
    if (!any)
        return 0;
    bits.resetBits();
    counter.setBitstream(&bits);
    counter.resetEntropy(&slice);
    counter.resetBits();
    for (int address = 0; address < (int)picture.getNumberOfCtusInFrame(); address++) {
        SAOBlkParam parameters = picture.getPicSym()->getSAOBlkParam()[address];
        const bool left = address % columns > 0 && picture.getSAOMergeAvailability(address, address - 1);
        const bool above = address >= columns && picture.getSAOMergeAvailability(address, address - columns);
        if (!luma)
            dropLuma(parameters);
        counter.codeSAOBlkParam(parameters, slice.getSPS()->getBitDepths(), enabled, left, above);
    }
    const double result = counter.getNumberOfWrittenBits();
    counter.setBitstream(NULL);
    return result;
}

static void switchLumaSaoOff(TComPic &picture)
{
    for (UInt slice = 0; slice < picture.getNumAllocatedSlice(); slice++)
        picture.getSlice(slice)->setSaoEnabledFlag(CHANNEL_TYPE_LUMA, false);
    for (UInt address = 0; address < picture.getNumberOfCtusInFrame(); address++)
        dropLuma(picture.getPicSym()->getSAOBlkParam()[address]);
}

/* ---- decision ---- */

/* The network for the QP and its neighbours among those of the position. */
void VrcnnHmEncoder::listNetworks(int qp)
{
    std::vector<std::pair<int, int>> known; /* nominal QP, index */
    const int nearest = vrcnn_model_index_for_qp(m_filter.model(), m_position, qp);
    if (nearest < 0)
        vrcnnHmFail("QP %d: %s", qp, vrcnn_strerror(nearest));
    for (int index = 0; index < vrcnn_model_networks(m_filter.model()); index++) {
        VrcnnNetworkInfo network;
        vrcnn_model_network_info(m_filter.model(), index, &network);
        if (network.position == m_position)
            known.push_back(std::make_pair(network.nominal_qp, index));
    }
    std::sort(known.begin(), known.end());
    size_t at = 0;
    while (known[at].second != nearest)
        at++;
    m_networks = 0;
    m_network[m_networks++] = nearest;
    if (at > 0)
        m_network[m_networks++] = known[at - 1].second;
    if (at + 1 < known.size())
        m_network[m_networks++] = known[at + 1].second;
}

double VrcnnHmEncoder::squaredError(const VrcnnHmLuma &luma, const TComPicYuv &original, int x, int y, int width, int height) const
{
    const int stride = original.getStride(COMPONENT_Y);
    Int64 sum = 0;
    for (int row = y; row < std::min(y + height, luma.height); row++) {
        const Pel *a = &luma.samples[(size_t)row * luma.width], *b = original.getAddr(COMPONENT_Y) + (ptrdiff_t)row * stride;
        for (int column = x; column < std::min(x + width, luma.width); column++)
            sum += (Int64)(a[column] - b[column]) * (a[column] - b[column]);
    }
    /* In steps of eight bits, as HM's lambda is. */
    return (double)sum / (1 << 2 * DISTORTION_PRECISION_ADJUSTMENT(m_bitDepth - 8));
}

void VrcnnHmEncoder::sumCells(const TComPicYuv &original)
{
    const int width = m_source.width, height = m_source.height, columns = (width + CELL - 1) / CELL,
              stride = original.getStride(COMPONENT_Y);
    const double unit = 1 << 2 * DISTORTION_PRECISION_ADJUSTMENT(m_bitDepth - 8);
    m_cell.assign((size_t)columns * ((height + CELL - 1) / CELL), Sums());
    for (size_t i = 0; i < m_cell.size(); i++) {
        const int left = (int)(i % columns) * CELL, top = (int)(i / columns) * CELL;
        Sums &cell = m_cell[i];
        cell.source = squaredError(m_source, original, left, top, CELL, CELL);
        cell.base = squaredError(m_base, original, left, top, CELL, CELL);
        for (int k = 0; k < m_networks; k++) {
            Int64 product = 0, energy = 0;
            for (int y = top; y < std::min(top + CELL, height); y++) {
                const Pel *source = &m_source.samples[(size_t)y * width], *result = &m_result[k].samples[(size_t)y * width];
                const Pel *truth = original.getAddr(COMPONENT_Y) + (ptrdiff_t)y * stride;
                for (int x = left; x < std::min(left + CELL, width); x++) {
                    const int residual = result[x] - source[x];
                    product += (Int64)(truth[x] - source[x]) * residual;
                    energy += (Int64)residual * residual;
                }
            }
            cell.product[k] = (double)product / unit;
            cell.energy[k] = (double)energy / unit;
        }
    }
}

std::vector<VrcnnHmEncoder::Sums> VrcnnHmEncoder::sumUnits(int unitSize) const
{
    const int cells = (m_source.width + CELL - 1) / CELL, columns = (m_source.width + unitSize - 1) / unitSize;
    const int rows = (m_source.height + unitSize - 1) / unitSize;
    std::vector<Sums> units((size_t)columns * rows, Sums());
    for (size_t i = 0; i < m_cell.size(); i++) {
        const int x = (int)(i % cells) * CELL / unitSize, y = (int)(i / cells) * CELL / unitSize;
        Sums &unit = units[(size_t)y * columns + x];
        unit.source += m_cell[i].source;
        unit.base += m_cell[i].base;
        for (int k = 0; k < m_networks; k++) {
            unit.product[k] += m_cell[i].product[k];
            unit.energy[k] += m_cell[i].energy[k];
        }
    }
    return units;
}

/* Bytes of the side information, or a negative error. */
int VrcnnHmEncoder::write(VrcnnHmChoice &choice, uint8_t *data) const
{
    size_t size = 0;
    const uint8_t *unit = choice.unit.empty() ? NULL : &choice.unit[0];
    const VrcnnError error = vrcnn_sideinfo_write(data, &size, &choice.info, unit, m_source.width, m_source.height);
    return error ? (int)error : (int)size;
}

void VrcnnHmEncoder::tryWhole(VrcnnHmChoice &best, const VrcnnHmChoice &start) const
{
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    for (int k = 0; k < m_networks; k++) {
        double source = 0, product = 0, energy = 0;
        for (size_t i = 0; i < m_cell.size(); i++) {
            source += m_cell[i].source;
            product += m_cell[i].product[k];
            energy += m_cell[i].energy[k];
        }
        VrcnnHmChoice choice = start;
        choice.info.mode = VRCNN_MODE_ALL;
        choice.info.position = m_position;
        choice.info.networks = 1;
        choice.info.index[0] = m_network[k];
        choice.info.scale = energy > 0 ? std::max(1, std::min(10, (int)floor(TRAINED * product / energy + 0.5))) : VRCNN_SCALE_TRAINED;
        const double scale = choice.info.scale / TRAINED;
        const int size = write(choice, data);
        choice.cost = source - 2 * scale * product + scale * scale * energy + m_lambda * 8 * size;
        if (size >= 0 && choice.cost < best.cost)
            best = choice;
    }
}

void VrcnnHmEncoder::tryMap(VrcnnHmChoice &best, const VrcnnHmChoice &start, const std::vector<Sums> &units, int unitSize,
                            unsigned subset) const
{
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    int member[VRCNN_MAX_CHOICES];
    VrcnnHmChoice choice = start;
    choice.info.mode = VRCNN_MODE_MAP;
    choice.info.position = m_position;
    choice.info.unit_size = unitSize;
    choice.info.networks = 0;
    for (int k = 0; k < m_networks; k++)
        if (subset >> k & 1) {
            member[choice.info.networks] = k;
            choice.info.index[choice.info.networks++] = m_network[k];
        }
    const int values = choice.info.networks + 1;
    std::vector<uint8_t> unit(units.size());
    double price[VRCNN_MAX_CHOICES + 1] = {0};
    /* The second pass knows how often each value occurs, and so what it costs. */
    for (int pass = 0; pass < 2; pass++) {
        double least = HUGE_VAL;
        for (int c = 1; c <= 10; c++) {
            const double scale = c / TRAINED;
            double total = 0;
            for (size_t i = 0; i < units.size(); i++) {
                double cost = units[i].base + price[0];
                unit[i] = 0;
                for (int v = 1; v < values; v++) {
                    const int k = member[v - 1];
                    const double with = units[i].source - 2 * scale * units[i].product[k] + scale * scale * units[i].energy[k] + price[v];
                    if (with < cost) {
                        cost = with;
                        unit[i] = (uint8_t)v;
                    }
                }
                total += cost;
            }
            if (total < least) {
                least = total;
                choice.info.scale = c;
                choice.unit = unit;
            }
        }
        double count[VRCNN_MAX_CHOICES + 1] = {0};
        for (size_t i = 0; i < units.size(); i++)
            count[choice.unit[i]]++;
        const int size = write(choice, data);
        if (size >= 0) {
            double sum = 0;
            for (size_t i = 0; i < units.size(); i++)
                sum += price[choice.unit[i]];
            choice.cost = least - sum + m_lambda * 8 * size;
            if (choice.cost < best.cost)
                best = choice;
        }
        for (int v = 0; v < values; v++)
            price[v] = m_lambda * -log((count[v] + 0.5) / (units.size() + 0.5 * values)) / log(2.0);
    }
}

/* The chosen network's samples of the whole picture, or of the units that have one, over m_base. */
void VrcnnHmEncoder::filter(TComPic &picture, VrcnnHmChoice &choice)
{
    const VrcnnConstPlane source = m_source.constPlane(m_bitDepth);
    m_final = m_base;
    if (choice.info.mode == VRCNN_MODE_ALL) {
        m_filter.filterPicture(choice.info.index[0], choice.info.scale, m_final.plane(m_bitDepth), source);
    } else {
        VrcnnUnits units = {choice.info.unit_size, choice.info.networks, {0}, choice.info.scale, &choice.unit[0]};
        memcpy(units.index, choice.info.index, sizeof units.index);
        m_filter.filterUnits(units, m_final.plane(m_bitDepth), source);
    }
    vrcnnHmRestore(picture, &m_final.samples[0], m_final.width, m_source);
}

/* Gives back units that lose after all: at another scale than the trained one the choice was an estimate. Returns the squared error. */
double VrcnnHmEncoder::refine(VrcnnHmChoice &choice, const TComPicYuv &original)
{
    if (choice.info.mode == VRCNN_MODE_ALL)
        return squaredError(m_final, original, 0, 0, m_final.width, m_final.height);
    const int size = choice.info.unit_size, columns = (m_final.width + size - 1) / size;
    double total = 0;
    for (size_t i = 0; i < choice.unit.size(); i++) {
        const int x = (int)(i % columns) * size, y = (int)(i / columns) * size;
        const double base = squaredError(m_base, original, x, y, size, size), with = squaredError(m_final, original, x, y, size, size);
        total += std::min(base, with);
        if (base <= with && choice.unit[i]) {
            choice.unit[i] = 0;
            for (int row = y; row < std::min(y + size, m_final.height); row++) {
                const size_t at = (size_t)row * m_final.width;
                std::copy(m_base.samples.begin() + at + x, m_base.samples.begin() + at + std::min(x + size, m_final.width),
                          m_final.samples.begin() + at + x);
            }
        }
    }
    return total;
}

void VrcnnHmEncoder::afterSao(TComPic *picture, TEncSbac *counter)
{
    const VrcnnHmOptions &options = VrcnnHmOptions::get();
    if (!options.enabled)
        return;
    const double start = vrcnnHmSeconds();
    TComSlice &slice = *picture->getSlice(0);
    TComPicYuv &reconstruction = *picture->getPicYuvRec();
    const TComPicYuv &original = *picture->getPicYuvTrueOrg();
    uint8_t data[VRCNN_SIDEINFO_SIZE];
    VrcnnHmLuma ordinary;
    m_bitDepth = slice.getSPS()->getBitDepth(CHANNEL_TYPE_LUMA);
    m_lambda = slice.getLambdas()[COMPONENT_Y];
    ordinary.copy(reconstruction);
    if (m_position == VRCNN_AFTER_SAO)
        m_source = m_base = ordinary;

    VrcnnHmChoice off = VrcnnHmChoice();
    off.info.has_identity = slice.isIRAP();
    off.info.mode = VRCNN_MODE_OFF;
    if (off.info.has_identity)
        memcpy(off.info.identity, m_filter.identity(), sizeof off.info.identity);
    const double lumaSaoBits = m_position == VRCNN_AFTER_SAO ? 0 : saoBits(*picture, *counter, true) - saoBits(*picture, *counter, false);
    off.cost = squaredError(ordinary, original, 0, 0, ordinary.width, ordinary.height) + m_lambda * (8 * write(off, data) + lumaSaoBits);

    listNetworks(std::max(-12, std::min(51, slice.getSliceQp())));
    for (int k = 0; k < m_networks; k++) {
        m_result[k].resize(m_source.width, m_source.height);
        m_filter.filterPicture(m_network[k], VRCNN_SCALE_TRAINED, m_result[k].plane(m_bitDepth), m_source.constPlane(m_bitDepth));
        vrcnnHmRestore(*picture, &m_result[k].samples[0], m_result[k].width, m_source);
    }
    sumCells(original);
    VrcnnHmChoice best = off;
    tryWhole(best, off);
    for (int unitSize = CELL; options.map && unitSize <= 512; unitSize *= 2) {
        const std::vector<Sums> units = sumUnits(unitSize);
        for (unsigned subset = 1; units.size() > 1 && subset < 1U << m_networks; subset++)
            tryMap(best, off, units, unitSize, subset);
    }
    if (best.info.mode != VRCNN_MODE_OFF) {
        filter(*picture, best);
        const double error = refine(best, original);
        const int size = write(best, data);
        if (size < 0 || error + m_lambda * 8 * size >= off.cost)
            best = off;
    }

    const int size = write(best, data);
    if (size < 0)
        vrcnnHmFail("POC %d: %s", slice.getPOC(), vrcnn_strerror(size));
    if (best.info.mode != VRCNN_MODE_OFF) {
        Pel *luma = reconstruction.getAddr(COMPONENT_Y);
        for (int y = 0; y < m_final.height; y++)
            memcpy(luma + (ptrdiff_t)y * reconstruction.getStride(COMPONENT_Y), &m_final.samples[(size_t)y * m_final.width],
                   m_final.width * sizeof(Pel));
        if (m_position == VRCNN_BEFORE_DEBLOCKING)
            switchLumaSaoOff(*picture);
        m_filtered++;
    }
    for (UInt i = 0; i < picture->getNumAllocatedSlice(); i++)
        picture->getSlice(i)->vrcnnExtension.clear();
    slice.vrcnnExtension.assign(data, size);

    static const char *const words[] = {"off", "all", "map"};
    m_pictures++;
    const double seconds = vrcnnHmSeconds() - start;
    m_seconds += seconds;
    printf("VRCNN POC %4d: %s", slice.getPOC(), words[best.info.mode]);
    for (int i = 0; i < best.info.networks; i++)
        printf("%s%d", i ? "," : " of networks ", best.info.index[i]);
    if (best.info.mode != VRCNN_MODE_OFF)
        printf(" scale %d", best.info.scale);
    if (best.info.mode == VRCNN_MODE_MAP)
        printf(" units of %d", best.info.unit_size);
    printf(" [%d bytes] [VT %.3f]\n", size, seconds);
}
