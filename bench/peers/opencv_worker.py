#!/usr/bin/python3
"""OpenCV's dnn module as a worker of compare.py; the protocol is described there."""
import cv2

import worker


def load(model, threads, inputs):
    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(model)
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    names = net.getUnconnectedOutLayersNames()

    def run():
        for name, value in inputs.items():
            net.setInput(value, name)
        return net.forward(names)

    return names, run


worker.main(load, cv2.__version__)
